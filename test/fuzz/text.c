/* Fuzz target: cleaning and tokenising of captions. */
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *tokenizer;
    int32_t ids[32];
    char *text = calloc(size + 1, 1);
    if (!tokenizer) tokenizer = tokenizer_open();
    memcpy(text, data, size);
    tokenizer_encode(tokenizer, text, ids, 32);
    free(text);
    return 0;
}
