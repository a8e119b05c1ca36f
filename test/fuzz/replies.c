/* Fuzz target: replies and captions, as the metrics over texts read them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"
#include "evaluator/metrics/choice_rules.h"
#include "evaluator/metrics/ptb.h"
#include "evaluator/metrics/python.h"
#include "evaluator/metrics/vqa_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ptb *ptb;
    static struct choice_reader *reader;
    static json_t *choices;
    if (!ptb) ptb = ptb_open(), reader = choice_reader_open(), choices = json_pack("[s, s, s]", "a dog", "", "3");
    char *raw = calloc(size + 1, 1);
    memcpy(raw, data, size);
    struct str text = {0}, tokens = {0};
    str_append(&text, "", 0);
    utf8_mend(raw, strlen(raw), &text);
    ptb_tokenize(ptb, text.data, &tokens);
    for (const char *at = tokens.data; at && *at;) CHECK(utf8_next(&at, NULL) >= 0, "tokens are no UTF-8");
    for (int split = 0; split < 2; split++) free(vqa_words(text.data, split));
    for (int rule = CHOICE_LETTER; rule <= CHOICE_PERCEPTIONTEST; rule++) {
        int64_t choice = choice_read(reader, (enum choice_rule)rule, text.data, choices, 3);
        CHECK(choice >= NO_CHOICE && choice < CHOICES, "choice %ld", (long)choice);
    }
    choice_holds(reader, text.data, choices);
    double value = 0;
    if (python_float(text.data, &value)) CHECK(isfinite(value) || isinf(value) || isnan(value), "%g", value);
    str_free(&tokens);
    str_free(&text);
    free(raw);
    return 0;
}
