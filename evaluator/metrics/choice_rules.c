/* Rules of lmms-eval 0.7.3, and one of our own. */
#include "evaluator/metrics/choice_rules.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "evaluator/metrics/pattern.h"
#include "evaluator/metrics/python.h"
#include "evaluator/metrics/vqa_words.h"

/* --- letters --- */

enum { AI2D_BEGIN, MVBENCH_BEGIN, MVBENCH_WORD, PERCEPTION_WORD, NUMBERS, PATTERNS = NUMBERS + 3 };
static const struct {
    const char *text;
    bool ignore_case;
} patterns[PATTERNS] = {
    [AI2D_BEGIN] = {"^[" PYTHON_SPACES "]*([A-Z])\\.", false},
    [MVBENCH_BEGIN] = {"^([A-E])\\.[" PYTHON_SPACES "]*(.+)$", true},
    [MVBENCH_WORD] = {"\\b([A-E])\\b", true},
    [PERCEPTION_WORD] = {"\\b([A-D])\\b", false},
    /* with commas, with an exponent, plain */
    [NUMBERS] = {"(-?\\b\\d{1,3}(?:,\\d{3})+\\b)", false},
    {"(-?\\d+(?:\\.\\d+)?[eE][+-]?\\d+)", false},
    {"(-?(?:\\d+\\.\\d+|\\.\\d+|\\d+\\b)(?![eE][+-]?\\d+)(?![,\\d]))", false},
};

struct choice_reader {
    struct pattern patterns[PATTERNS];
};

struct choice_reader *choice_reader_open(void)
{
    struct choice_reader *reader = mem_zalloc(1, sizeof *reader);
    for (int i = 0; i < PATTERNS; i++)
        reader->patterns[i] = pattern_open(patterns[i].text, patterns[i].ignore_case, false);
    return reader;
}

void choice_reader_close(struct choice_reader *reader)
{
    for (int i = 0; reader && i < PATTERNS; i++) pattern_close(&reader->patterns[i]);
    free(reader);
}

/* The letter that a pattern's first group finds. */
static int64_t find_letter(const struct choice_reader *reader, int which, const char *text)
{
    struct piece pieces[PATTERN_GROUPS];
    if (!pattern_find(&reader->patterns[which], text, strlen(text), 0, pieces)) return NO_CHOICE;
    return toupper((unsigned char)*pieces[1].begin) - 'A';
}

static int64_t read_letter(const char *reply)
{
    char *plain = python_strip(mem_strdup(reply));
    const char *at = plain + strspn(plain, "([{\"'*");
    int64_t letter = isalpha((unsigned char)*at) ? toupper((unsigned char)*at) - 'A' : NO_CHOICE;
    if (letter >= 0 && at[1] && !strchr(")]}\"'*.:,\n", at[1])) letter = NO_CHOICE;
    free(plain);
    return letter;
}

static int64_t read_ai2d(const struct choice_reader *reader, const char *reply)
{
    int64_t letter = find_letter(reader, AI2D_BEGIN, reply);
    if (letter >= 0) return letter;
    char *plain = python_lower(reply), *to = plain;
    for (const char *at = plain; *at; at++)
        if (!ispunct((unsigned char)*at)) *to++ = *at;
    *to = 0;
    if (plain[0] >= 'a' && plain[0] <= 'z' && !plain[1]) letter = plain[0] - 'a';
    free(plain);
    return letter;
}

static int64_t read_mvbench(const struct choice_reader *reader, const char *reply)
{
    char *plain = python_strip(mem_strdup(reply));
    int64_t letter = find_letter(reader, MVBENCH_BEGIN, plain);
    if (letter < 0) {
        python_replace(python_replace(plain, "\n", ' '), "\t", ' ');
        letter = find_letter(reader, MVBENCH_WORD, vqa_punctuation(plain, false));
    }
    free(plain);
    return letter;
}

/* --- MMMU --- */

/* Where needle is for the last time; -1: nowhere. */
static ptrdiff_t last_of(const char *text, const char *needle)
{
    ptrdiff_t last = -1;
    for (const char *at = text; (at = strstr(at, needle)); at++) last = at - text;
    return last;
}

static int64_t count_words(const char *text)
{
    char *words = python_collapse(mem_strdup(text));
    int64_t count = *words != 0;
    for (const char *at = words; (at = strchr(at, ' ')); at++) count++;
    free(words);
    return count;
}

/* Of the choices that the text holds in a form (the letter goes to %c), the one that comes last in the form `placed`;
 * equal places: the first choice. */
static int64_t last_letter(const char *text, const char *form, const char *placed, int64_t count)
{
    char shape[8];
    int64_t found = NO_CHOICE;
    ptrdiff_t best = 0;
    for (int64_t i = 0; i < count; i++) {
        snprintf(shape, sizeof shape, form, (int)('A' + i));
        if (!strstr(text, shape)) continue;
        snprintf(shape, sizeof shape, placed, (int)('A' + i));
        ptrdiff_t place = last_of(text, shape);
        if (found >= 0 && place <= best) continue;
        found = i;
        best = place;
    }
    return found;
}

static int64_t last_text(const char *text, const json_t *choices, int64_t count)
{
    char *lower = python_lower(text);
    int64_t found = NO_CHOICE;
    ptrdiff_t best = -1;
    for (int64_t i = 0; i < count && choices; i++) {
        char *choice = python_lower(json_string_value(json_array_get(choices, (size_t)i)));
        ptrdiff_t place = *choice ? last_of(lower, choice) : (ptrdiff_t)strlen(lower);
        if (place > best) found = i, best = place;
        free(choice);
    }
    free(lower);
    return found;
}

static int64_t read_mmmu(const char *reply, const json_t *choices, int64_t count)
{
    char *plain = mem_strdup(reply);
    for (const char *c = ",.!?;:'"; *c; c++) python_strip_of(plain, *c);
    struct str text = {0};
    str_printf(&text, " %s ", plain);
    int64_t letter = last_letter(text.data, "(%c)", "(%c)", count);
    if (letter < 0) letter = last_letter(text.data, "%c ", " %c ", count);
    if (letter < 0) letter = last_letter(text.data, "%c.", " %c ", count);
    if (letter < 0 && count_words(text.data) > 5) letter = last_text(text.data, choices, count);
    str_free(&text);
    free(plain);
    return letter;
}

int64_t choice_read(const struct choice_reader *reader, enum choice_rule rule, const char *reply, const json_t *choices,
                    int64_t count)
{
    int64_t letter = NO_CHOICE;
    switch (rule) {
    case CHOICE_LETTER: letter = read_letter(reply); break;
    case CHOICE_AI2D: letter = read_ai2d(reader, reply); break;
    case CHOICE_MMMU: letter = read_mmmu(reply, choices, count); break;
    case CHOICE_MVBENCH: return read_mvbench(reader, reply);
    case CHOICE_PERCEPTIONTEST: return find_letter(reader, PERCEPTION_WORD, reply);
    }
    return letter < count ? letter : NO_CHOICE;
}

/* --- MMMU's open questions --- */

/* A text as it is compared: a number of two decimals, or itself in lower case. */
struct value {
    bool is_number;
    double number;
    char *text; /* NULL: a number */
};

static struct value value_of(const char *text)
{
    struct value v = {0};
    char *plain = python_strip(mem_strdup(text)), rounded[400];
    char *digits = python_replace(mem_strdup(plain), ",", 0);
    v.is_number = python_float(digits, &v.number);
    if (v.is_number && isfinite(v.number)) {
        snprintf(rounded, sizeof rounded, "%.2f", v.number);
        v.number = strtod(rounded, NULL);
    }
    if (!v.is_number) v.text = python_lower(plain);
    free(digits);
    free(plain);
    return v;
}

/* Is the answer met?  An answer of one character must stand beside a space. */
static bool meets(const char *said, const struct value *answer)
{
    struct value v = value_of(said);
    bool met = v.is_number && answer->is_number && v.number == answer->number;
    if (!v.is_number && !answer->is_number) {
        struct str left = {0}, right = {0}, text = {0};
        bool single = python_length(answer->text) == 1;
        str_printf(&left, "%s%s", single ? " " : "", answer->text);
        str_printf(&right, "%s%s", answer->text, single ? " " : "");
        /* and so must one of the reply, which is then looked at with a space on either side, one at a time */
        bool short_reply = python_length(v.text) == 1;
        for (int side = 0; side < (short_reply ? 2 : 1) && !met; side++) {
            str_clear(&text);
            str_printf(&text, "%s%s%s", short_reply && !side ? " " : "", v.text, short_reply && side ? " " : "");
            met = strstr(text.data, left.data) || strstr(text.data, right.data);
        }
        str_free(&left);
        str_free(&right);
        str_free(&text);
    }
    free(v.text);
    return met;
}

static bool meets_any(const char *said, const json_t *answers)
{
    bool met = false;
    for (size_t i = 0; i < json_array_size(answers) && !met; i++) {
        struct value answer = value_of(json_string_value(json_array_get(answers, i)));
        met = meets(said, &answer);
        free(answer.text);
    }
    return met;
}

/* Does a text meet an answer, or a number in it? */
static bool holds(const struct choice_reader *reader, const char *text, const json_t *answers)
{
    struct piece pieces[PATTERN_GROUPS];
    bool met = meets_any(text, answers);
    size_t len = strlen(text);
    for (int i = NUMBERS; i < PATTERNS; i++)
        for (size_t at = 0; !met && pattern_find(&reader->patterns[i], text, len, at, pieces);) {
            char *number = strndup(pieces[1].begin, (size_t)(pieces[1].end - pieces[1].begin));
            met = meets_any(number, answers);
            free(number);
            at = (size_t)(pieces[0].end - text);
        }
    return met;
}

/* The part of a line after one of the words that announce an answer, the shortest; NULL: there is none worth having.
 * The caller frees it. */
static char *announced(const char *line, bool last)
{
    static const char *const words[] = {"could be ", "so ",     "is ",     "thus ", "therefore ",
                                        "final ",    "answer ", "result ", "="};
    size_t count = sizeof words / sizeof *words - !last;
    char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        ptrdiff_t place = last_of(line, words[i]);
        if (place < 0) continue;
        char *tail = python_strip(mem_strdup(line + place + strlen(words[i])));
        bool better = !best || !*best || python_length(tail) < python_length(best);
        free(better ? best : tail);
        if (better) best = tail;
    }
    if (best && (!*best || (!best[1] && strchr(":,.!?;'", *best)))) {
        free(best);
        best = NULL;
    }
    return best;
}

bool choice_holds(const struct choice_reader *reader, const char *reply, const json_t *answers)
{
    char *lower = python_strip(mem_strdup(reply)), *plain = python_lower(python_strip_of(lower, '.')), *rest = plain;
    char *whole = mem_strdup(plain);
    bool met = false, any = false;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *part = announced(line, !rest);
        any = any || part;
        met = met || (part && holds(reader, part, answers));
        free(part);
    }
    if (!any) met = holds(reader, whole, answers);
    free(whole);
    free(lower);
    free(plain);
    return met;
}
