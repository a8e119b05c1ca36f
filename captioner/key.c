/* Keys of rows. */
#include "captioner/key.h"

#include <string.h>

int key_check(const json_t *row, const char *key, int64_t item, struct error *error)
{
    const char *own = json_string_value(json_object_get(row, "key"));
    if (!own || !strcmp(own, key)) return 0;
    return error_set(error, ERROR_FAILED,
                     "item %ld has key \"%.100s\", the sample of --data \"%.100s\": the rows are of other data, or of "
                     "these in another order",
                     (long)item, own, key);
}
