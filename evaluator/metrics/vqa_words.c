/* What is replaced, and by what, is the evaluator's, also where it looks like a slip. */
#include "evaluator/metrics/vqa_words.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/utf8.h"
#include "evaluator/metrics/python.h"

/* Each of these without its apostrophe becomes it. */
static const char one_apostrophe[] =
    " ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's "
    "isn't "
    "it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've shouldn't "
    "somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're there's "
    "they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd where's "
    "where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're you've ";

/* Each of these without its first, and without its second, becomes it. */
static const char two_apostrophes[] = " couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've "
                                      "somebody'd've someone'd've something'd've "
                                      "there'd've they'd've we'd've who'd've wouldn't've you'd've ";

static const char *const others[][2] = {
    {"ow's'at", "'ow's'at"},     {"'ows'at", "'ow's'at"},     {"'ow'sat", "'ow's'at"},
    {"somebody'd", "somebodyd"}, {"yall'll", "y'all'll"},     {"y'allll", "y'all'll"},
    {"yall'd've", "y'all'd've"}, {"y'alld've", "y'all'd've"}, {"y'all'dve", "y'all'd've"}};

static const char *const numbers[] = {"zero", "one",   "two",   "three", "four", "five",
                                      "six",  "seven", "eight", "nine",  "ten"};

/* Is word the listed word [len] without its apostrophe number `skip`? */
static bool is_without(const char *word, const char *listed, size_t len, int skip)
{
    int seen = 0;
    for (size_t i = 0; i < len; i++) {
        if (listed[i] == '\'' && seen++ == skip) continue;
        if (*word++ != listed[i]) return false;
    }
    return seen > skip && !*word;
}

/* The listed word that becomes of word, with its length; NULL: word stays. */
static const char *in_list(const char *list, int apostrophes, const char *word, size_t *len)
{
    for (const char *at = list + 1; *at; at += *len + 1) {
        *len = strcspn(at, " ");
        for (int skip = 0; skip < apostrophes; skip++)
            if (is_without(word, at, *len, skip)) return at;
    }
    return NULL;
}

static void put_word(const char *word, struct str *out)
{
    size_t len;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(word, numbers[i]) || (!i && !strcmp(word, "none"))) {
            str_printf(out, "%s%zu", out->len ? " " : "", i);
            return;
        }
    if (!strcmp(word, "a") || !strcmp(word, "an") || !strcmp(word, "the")) return;
    if (out->len) str_putc(out, ' ');
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(word, others[i][0])) {
            str_puts(out, others[i][1]);
            return;
        }
    const char *whole = in_list(one_apostrophe, 1, word, &len);
    if (!whole) whole = in_list(two_apostrophes, 2, word, &len);
    str_append(out, whole ? whole : word, whole ? len : strlen(word));
}

/* Is there digit, comma(s), digit? */
static bool has_thousands(const char *text, bool commas)
{
    bool digit = false; /* before the commas */
    int run = 0;
    for (const char *at = text; *at;) {
        int32_t code = utf8_next(&at, NULL);
        if (code == ',') {
            run++;
            continue;
        }
        bool now = python_is_digit(code);
        if (now && digit && (commas ? run > 0 : run == 1)) return true;
        digit = now;
        run = 0;
    }
    return false;
}

char *vqa_punctuation(char *text, bool commas)
{
    static const char marks[] = ";/[]\"{}()=+\\_-><@`,?!";
    char *before = mem_strdup(text);
    bool thousands = has_thousands(before, commas);
    for (const char *mark = marks; *mark; mark++) {
        char one[] = {*mark, 0}, left[] = {' ', *mark, 0}, right[] = {*mark, ' ', 0};
        if (strstr(before, left) || strstr(before, right) || thousands)
            python_replace(text, one, 0);
        else
            python_replace(text, one, ' ');
    }
    char *out = text;
    int stops = 0;
    for (const char *at = text; *at;) {
        const char *ahead = ++at;
        bool stop = at[-1] == '.' && stops < 32 && !(*ahead && python_is_digit(utf8_next(&ahead, NULL)));
        stops += stop;
        if (!stop) *out++ = at[-1];
    }
    *out = 0;
    free(before);
    return text;
}

/* Lower case, without , and ?, 's apart. */
static char *split_words(const char *text)
{
    char *lower = python_lower(text);
    python_replace(python_replace(lower, ",", 0), "?", 0);
    struct str out = {0};
    for (const char *at = lower; *at; at++) {
        if (at[0] == '\'' && at[1] == 's') str_putc(&out, ' ');
        str_putc(&out, *at);
    }
    free(lower);
    return python_strip(str_steal(&out));
}

char *vqa_words(const char *text, bool split)
{
    char *plain = split ? split_words(text) : mem_strdup(text);
    python_replace(python_replace(plain, "\n", ' '), "\t", ' ');
    vqa_punctuation(python_strip(plain), true);
    char *lower = python_collapse(python_lower(plain)), *rest = lower;
    struct str out = {0};
    str_append(&out, "", 0);
    for (char *word; (word = strsep(&rest, " "));)
        if (*word) put_word(word, &out);
    free(lower);
    free(plain);
    return str_steal(&out);
}
