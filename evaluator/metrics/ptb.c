/* A list of rules; at each place the longest match is the next token, of equally long ones the first rule's. */
#include "evaluator/metrics/ptb.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "evaluator/metrics/pattern.h"
#include "evaluator/metrics/python.h"

#define APOS "['\\x{92}\\x{2019}]"
#define TICK "['`\\x{91}\\x{92}\\x{2018}\\x{2019}\\x{201b}]"
#define LETTER "[\\p{L}\\p{M}\\xad]"
#define ALNUM "[\\p{L}\\p{M}\\p{Nd}\\xad]"
#define WORD "(?:" LETTER ALNUM "*(?:[.!?]" LETTER ALNUM "*)*)"
#define CLITIC APOS "(?:[msd]|re|ve|ll)"
#define NUMBER "(?:\\p{Nd}*(?:[.:,]\\p{Nd}+)+|\\p{Nd}+)"
#define SLASHED "[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
#define ADDRESS "[^\\s\"<>|(){}]"

/* Abbreviations keep their full stop: of either case, with a capital, and before a number. */
#define SHORT \
    "adj|adm|adv|ala?|alex|apr|ariz|assn|assoc|asst|attys?|aug|ave|bhd|bldg|blvd|brig|bros|calif|capt|cf|cie|cmdr|" \
    "comdr|colo?|conn|corp|cos?|cpl|ct|dak|dec|dept|det|drs?|elec|ens|esq|est|etc|ext|feb|fla|fri|ft|ga|gen|govs?|" \
    "hon|inc|ind|insp|intl|invt|jan|jos|jr|jul|jun|kans?|ky|lieut|ltd?|maj|mar|md|messrs|mfg|mich|minn|mlle|mme|" \
    "mont?|mo|mrs?|ms|msgr|mtg|mt|natl|neb|nev|nov|oct|okla|penn|pfc|ph|plc|pp?t[ey]s?|pres|profs?|pvt|rd|reps?|rev|" \
    "rt|sens?|sept?|seq|sfc|sgt|spc|sq|sr|ste?|supts?|sys|tel|tenn|thurs?|thu|treas|tues?|univ|va|vs|vt|wed|wisc?|wm|" \
    "wyo"
#define SHORT_CAPITAL "Ark|Az|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash|ARK|AZ|DEL|ILL|LA|MASS|MISS|ORE|PA|TEX|WASH"
#define SHORT_NUMBER "nos?|art|ca|figs?|op|pp|prop"

/* Words that begin a sentence, so that a letter with a full stop before them is no initial. */
#define OPENING \
    "A|About|According|Additionally|After|An|As|At|But|Earlier|He|Her|Here|However|If|In|It|Last|Many|More|Now|Once|" \
    "One|Other|Our|She|Since|So|Some|Such|That|The|Their|Then|There|These|They|This|We|What|When|While|Yet|You"

/* What follows group 1 counts for the length of the match and is read again.  straight: a curly apostrophe becomes a
 * straight one. */
static const struct rule {
    const char *pattern;
    bool ignore_case, straight;
} rules[] = {
    {"(can)not|(?|(gon|wan)na|(got)ta|(lem|gim)me|(more)" APOS "n|('t)(?:is|was))", true},
    {"(</?[A-Za-z][A-Za-z0-9_:.-]*(?:\\s[^<>]*)?/?>|<[!?][A-Za-z-][^>]*>)", false},
    {"(" WORD ")" CLITIC, true},
    {"([a-z]*[a-mo-z])n" TICK "t", true},
    {"(" WORD ")", false},
    {"(" APOS "n" APOS "?|[ldj]" APOS "|dunkin" APOS "|somethin" APOS "|ol" APOS "|" APOS "em|c'mon|cap" APOS
     "n|nat'l|" APOS "till?|" APOS "cause|" APOS "[2-9]0s)",
     true},
    {"(\\p{L}+[aeiouyAEIOUY]" APOS "[aeiouA-Z]\\p{L}*)", false},
    {"(y" APOS ")\\p{L}", true},
    {"((?:https?://|www\\.)" ADDRESS "*[A-Za-z0-9/_~=&#%])", false},
    {"([a-z][a-z~+-]*(?:\\.[a-z~+-]+)*\\.(?:com|net|org|edu)(?:/" ADDRESS "+[A-Za-z0-9/_~=&#%])?)", false},
    {"(<?[A-Za-z0-9]" ADDRESS "*@(?:[A-Za-z0-9_-]+\\.)*[A-Za-z0-9_-]+>?)", false},
    {"(@[A-Za-z_][A-Za-z_0-9]*|#\\p{L}+)", false},
    {"(" CLITIC ")[^A-Za-z]", true, true},
    {"(n" TICK "t)[^A-Za-z]", true, true},
    {"(\\p{Nd}{1,2}[-/]\\p{Nd}{1,2}[-/]\\p{Nd}{2,4})", false},
    {"([+-]?" NUMBER ")", false},
    {"((?:\\p{Nd}{1,4}-)?\\p{Nd}{1,4}/\\p{Nd}{1,4})", false},
    {"(" SLASHED "(?:/" SLASHED "){1,2})", false},
    {"([A-Z]*\\$)", false},
    {"(" WORD "\\.)[,;:\\x{3001}]", false},
    {"((?:" SHORT ")\\.)", true},
    {"((?:" SHORT_CAPITAL ")\\.)", false},
    {"((?:" SHORT_NUMBER ")\\.) ?[0-9]", true},
    {"([A-Za-z](?:\\.[A-Za-z])*\\.|(?:ph|ed)\\.d\\.)", true},
    {"([A-Za-z])\\.\\s+(?:$|(?:" OPENING ")\\s)", false},
    {"([A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+)", false},
    {"((?:[dol]" APOS ")?" ALNUM "+(?:-" ALNUM "+)*)", true},
    {"([A-Za-z0-9][A-Za-z0-9.,]*(?:-(?:[A-Za-z0-9]+|[A-Za-z](?:\\.[A-Za-z])+\\.))+)", false},
    {"([A-Za-z0-9]+(?:_[A-Za-z0-9]+)+)", false},
    {"([<>]?[:;=][-o']?[()[\\]{|\\\\@DOPdp])[^A-Za-z]", false},
    {"(" APOS "[0-9][0-9])\\s", false},
    {"(')[A-Za-z][^ \\n]", false},
    {"(\\([0-9]{2,3}\\) ?[0-9]{3,4}[- ]?[0-9]{3,5})", false},
    {"(c\\+\\+|[cf]#)", true},
    {"([?!]+|-+|@+|#+|_+|\\*+|<<|>>|''|``)", false},
    {"(&amp;|&lt;|&gt;|&quot;)", false},
};
enum { RULES = sizeof rules / sizeof *rules };

struct ptb {
    struct pattern patterns[RULES];
};

struct ptb *ptb_open(void)
{
    struct ptb *ptb = mem_zalloc(1, sizeof *ptb);
    for (int i = 0; i < RULES; i++) ptb->patterns[i] = pattern_open(rules[i].pattern, rules[i].ignore_case, true);
    return ptb;
}

void ptb_close(struct ptb *ptb)
{
    for (int i = 0; ptb && i < RULES; i++) pattern_close(&ptb->patterns[i]);
    free(ptb);
}

/* The token that begins at `at`; one character where no rule matches. */
static struct piece next_token(const struct ptb *ptb, const char *text, size_t len, size_t at, bool *straight)
{
    struct piece best = {text + at, text + at}, pieces[PATTERN_GROUPS];
    const char *end = text + at;
    utf8_next(&best.end, NULL);
    *straight = false;
    for (int i = 0; i < RULES; i++) {
        if (!pattern_find(&ptb->patterns[i], text, len, at, pieces) || pieces[0].end <= end) continue;
        end = pieces[0].end;
        *straight = rules[i].straight;
        for (int g = 1; g < PATTERN_GROUPS; g++)
            if (pieces[g].begin) best = pieces[g];
    }
    return best;
}

/* How many letters of ASCII stand here before a space and are one token: no rule but the first takes such a word apart,
 * and none reaches beyond it.  0: the rules must say. */
static size_t plain_word(const struct ptb *ptb, const char *text, size_t len, size_t at)
{
    struct piece pieces[PATTERN_GROUPS];
    size_t end = at;
    while ((text[end] | 32) >= 'a' && (text[end] | 32) <= 'z') end++;
    bool plain = (text[end] == ' ' || text[end] == '\n') && !pattern_find(&ptb->patterns[0], text, len, at, pieces);
    return plain ? end - at : 0;
}

/* Characters that coco-caption leaves out when they are a token, or that are none for the tokenizer: beyond 16 bits, or
 * not to be seen. */
static bool dropped(int32_t code)
{
    if (code < 128) return code < ' ' || strchr(".?!,:;-'`\"", (int)code);
    utf8proc_category_t category = utf8proc_category(code);
    return code > 0xffff || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CC || code == 0x2026 ||
           code == 0xab || code == 0xbb || (code >= 0x2013 && code <= 0x2015) ||
           (code >= 0x2018 && code <= 0x201d && code != 0x201a);
}

/* A character as the Treebank spells it; NULL: as it is. */
static const char *spelling(int32_t code)
{
    static const struct {
        int32_t code;
        const char *text;
    } table[] = {{'(', "-lrb-"}, {')', "-rrb-"},  {'[', "-lsb-"}, {']', "-rsb-"},  {'{', "-lcb-"},
                 {'}', "-rcb-"}, {0xa2, "cents"}, {0x20ac, "$"},  {0xa3, "#"},     {0xa4, "$"},
                 {0xbc, "1/4"},  {0xbd, "1/2"},   {0xbe, "3/4"},  {0x2153, "1/3"}, {0x2154, "2/3"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code) return table[i].text;
    return NULL;
}

static void put_single(const char *token, size_t len, struct str *out)
{
    const char *at = token;
    int32_t code = utf8_next(&at, NULL);
    if (dropped(code)) return;
    str_putc(out, ' ');
    if (spelling(code))
        str_puts(out, spelling(code));
    else
        str_append(out, token, len);
}

/* Of several characters: round brackets are spelt, soft hyphens left out. */
static void put_several(struct piece token, bool straight, struct str *out)
{
    str_putc(out, ' ');
    for (const char *at = token.begin, *from = at; at < token.end; from = at) {
        int32_t code = utf8_next(&at, NULL);
        if (code == '(' || code == ')')
            str_puts(out, spelling(code));
        else if (straight && (code == 0x92 || code == 0x2019))
            str_putc(out, '\'');
        else if (code != 0xad)
            str_append(out, from, (size_t)(at - from));
    }
}

static void put_token(struct piece token, bool straight, struct str *out)
{
    static const struct {
        const char *reference, *text;
    } references[] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}};
    size_t len = (size_t)(token.end - token.begin);
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        if (strlen(references[i].reference) == len && !strncmp(references[i].reference, token.begin, len)) {
            put_single(references[i].text, 1, out);
            return;
        }
    const char *second = token.begin;
    utf8_next(&second, NULL);
    if (second == token.end)
        put_single(token.begin, len, out);
    else if ((strspn(token.begin, "-") != len || len > 4) && strspn(token.begin, "'`") != len)
        put_several(token, straight, out);
}

/* The caption on a line of its own, with each break of a line as a space. */
static void put_line(const char *caption, struct str *out)
{
    const char *from = caption; /* where what is not yet written begins */
    for (const char *at = caption, *begin = at; *at; begin = at) {
        if (!python_is_space(utf8_next(&at, NULL))) continue;
        str_append(out, from, (size_t)(begin - from));
        str_putc(out, ' ');
        from = at;
    }
    str_puts(out, from);
    str_putc(out, '\n');
}

void ptb_tokenize(const struct ptb *ptb, const char *caption, struct str *out)
{
    struct str line = {0}, tokens = {0};
    put_line(caption, &line);
    for (size_t at = 0; at < line.len;) {
        size_t word = plain_word(ptb, line.data, line.len, at);
        if (line.data[at] == ' ' || line.data[at] == '\n')
            at++;
        else if (word) {
            str_putc(&tokens, ' ');
            str_append(&tokens, line.data + at, word);
            at += word;
        } else {
            bool straight;
            struct piece token = next_token(ptb, line.data, line.len, at, &straight);
            put_token(token, straight, &tokens);
            at = (size_t)(token.end - line.data);
        }
    }
    char *lower = python_collapse(python_lower(tokens.data ? tokens.data : ""));
    str_puts(out, lower);
    free(lower);
    str_free(&line);
    str_free(&tokens);
}
