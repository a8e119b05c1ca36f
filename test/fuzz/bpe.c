/* Fuzz target: tokenizer files, the first byte telling which of the two kinds; what can be opened encodes a line. */
#include "data/bpe_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char line[] = "A line, 1234 with \xc3\xa9 and \xff!\n\n  x";
    struct error error = {0};
    struct bpe *bpe;
    struct token_ids ids = {0};
    struct str text = {0};
    if (!size ||
        bpe_parse(&bpe, data[0] & 1 ? "fuzz.json" : "fuzz.model", (const char *)data + 1, size - 1, &error) < 0)
        return 0;
    bpe_encode(bpe, line, sizeof line - 1, &ids);
    bpe_decode(bpe, ids.ids, ids.count, &text);
    token_ids_free(&ids);
    str_free(&text);
    bpe_close(bpe);
    return 0;
}
