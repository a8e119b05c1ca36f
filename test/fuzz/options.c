/* Fuzz target: option files, through the trainer's table. */
#include <stdio.h>

#include "trainer/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "build/fuzz/options-input.json", *argv[] = {"--config", path};
    FILE *file = fopen(path, "wb");
    if (!file) return 0;
    fwrite(data, 1, size, file);
    fclose(file);
    struct trainer_settings config = {0};
    struct error error = {0};
    options_parse(&trainer_program, &config, 2, argv, true, &error);
    options_free(&trainer_program, &config);
    return 0;
}
