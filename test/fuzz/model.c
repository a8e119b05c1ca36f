/* Fuzz target: model configurations. */
#include "models/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct model_config config;
    json_t *root = json_loadb((const char *)data, size, 0, NULL);
    model_config_parse(&config, "fuzz", root, &error);
    json_decref(root);
    return 0;
}
