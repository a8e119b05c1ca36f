/* Text repair, HTML character references, lower case. */
#include "data/clean.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/embed.h"
#include "base/utf8.h"

EMBED_FILE(html_entities, "common/data/tables/entities.txt");

static void put(struct str *out, int32_t code)
{
    utf8proc_uint8_t bytes[4];
    str_append(out, bytes, (size_t)utf8proc_encode_char(code, bytes));
}

/* Damaged bytes give U+FFFD one by one. */
static int32_t next(const char **at)
{
    int32_t code = utf8_next(at, NULL);
    return code < 0 ? 0xfffd : code;
}

/* The entry of entities.txt for name[0 .. len), or NULL; entries are sorted by bytes. */
static const char *entity(const char *name, size_t len)
{
    const char *low = (const char *)html_entities, *high = (const char *)html_entities_end;
    while (low < high) {
        const char *line = low + (high - low) / 2;
        while (line > low && line[-1] != '\n') line--;
        const char *tab = strchr(line, '\t');
        size_t have = (size_t)(tab - line), common = have < len ? have : len;
        int order = memcmp(line, name, common);
        if (!order) order = have < len ? -1 : have > len;
        if (!order) return tab + 1;
        if (order < 0)
            low = strchr(line, '\n') + 1;
        else
            high = line;
    }
    return NULL;
}

static void put_entity(struct str *out, const char *codes)
{
    char *end = (char *)(uintptr_t)codes;
    while (*end != '\n') put(out, (int32_t)strtol(end, &end, 16));
}

static void put_numeric(struct str *out, unsigned long code)
{
    static const uint16_t windows[32] = {0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                         0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d,   0x017d, 0x8f,
                                         0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                         0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178};
    if (code == 0)
        put(out, 0xfffd);
    else if (code == 0x0d)
        put(out, '\r');
    else if (code >= 0x80 && code < 0xa0)
        put(out, windows[code - 0x80]);
    else if ((code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
        put(out, 0xfffd);
    else if (code < 9 || code == 0xb || (code >= 0xe && code < 0x20) || code == 0x7f || (code & 0xfffe) == 0xfffe ||
             (code >= 0xfdd0 && code < 0xfdf0))
        return; /* not characters: dropped */
    else
        put(out, (int32_t)code);
}

/* One reference at text ("&..."): append its meaning and return its length, or 0 when it is none.  closed: only with
 * its semicolon. */
static size_t reference(const char *text, bool closed, struct str *out)
{
    if (text[1] == '#') {
        int base = text[2] == 'x' || text[2] == 'X' ? 16 : 10;
        const char *digits = text + 2 + (base == 16);
        size_t n = strspn(digits, base == 16 ? "0123456789abcdefABCDEF" : "0123456789");
        if (!n || (closed && digits[n] != ';')) return 0;
        char *end;
        unsigned long code = n > 12 ? 0x110000 : strtoul(digits, &end, base);
        put_numeric(out, code);
        return (size_t)(digits - text) + n + (digits[n] == ';');
    }
    size_t len = strcspn(text + 1, "\t\n\f <&#;");
    if (len > 32) len = 32;
    if (!len || (closed && text[1 + len] != ';')) return 0;
    size_t whole = len + (text[1 + len] == ';');
    const char *codes = entity(text + 1, whole);
    if (codes) {
        put_entity(out, codes);
        return 1 + whole;
    }
    if (closed) return 0;
    for (size_t part = whole - 1; part >= 2; part--) /* the longest name that needs no semicolon */
        if ((codes = entity(text + 1, part))) {
            put_entity(out, codes);
            return 1 + part;
        }
    return 0;
}

static void unescape(const char *text, bool closed, struct str *out)
{
    str_append(out, "", 0);
    while (*text) {
        size_t used = *text == '&' ? reference(text, closed, out) : 0;
        if (!used) str_putc(out, *text);
        text += used ? used : 1;
    }
}

static bool cased(int32_t code)
{
    utf8proc_category_t c = utf8proc_category(code);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
}

/* Unicode's Case_Ignorable, which a word's end is looked for across. */
static bool case_ignorable(int32_t code)
{
    utf8proc_category_t c = utf8proc_category(code);
    return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF ||
           c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK || code == '\'' || code == '.' || code == ':' ||
           code == 0xb7 || code == 0x387 || code == 0x2018 || code == 0x2019 || code == 0x2024 || code == 0x2027;
}

static bool letter_follows(const char *text)
{
    while (*text) {
        int32_t code = next(&text);
        if (!case_ignorable(code)) return cased(code);
    }
    return false;
}

void clean_unescape(const char *text, struct str *out)
{
    unescape(text, false, out);
}

void clean_lower(const char *text, struct str *out)
{
    bool after_letter = false;
    str_append(out, "", 0);
    while (*text) {
        int32_t code = next(&text);
        if (code < 128) { /* what the library says of them, at once */
            bool upper = code >= 'A' && code <= 'Z', lower = code >= 'a' && code <= 'z';
            str_putc(out, (char)(upper ? code + ('a' - 'A') : code));
            if (!strchr("'.:^`", code)) after_letter = upper || lower;
            continue;
        }
        if (code == 0x130) { /* I with a dot: i and a combining dot */
            put(out, 'i');
            put(out, 0x307);
        } else if (code == 0x3a3) { /* capital sigma: the final form at the end of a word */
            put(out, after_letter && !letter_follows(text) ? 0x3c2 : 0x3c3);
        } else
            put(out, utf8proc_tolower(code));
        if (!case_ignorable(code)) after_letter = cased(code);
    }
}

/* ftfy's character fixes for one code point; 0: drop it. */
static int32_t repaired(int32_t code)
{
    if (code == 0x2018 || code == 0x2019 || code == 0x201a || code == 0x201b || code == 0x2bc) return '\'';
    if (code == 0x201c || code == 0x201d || code == 0x201e || code == 0x201f) return '"';
    if (code == 0x3000) return ' ';
    if (code == 0x2028 || code == 0x2029 || code == 0x85) return '\n';
    bool control = code < 9 || code == 0xb || (code >= 0xe && code < 0x20) || code == 0x7f ||
                   (code >= 0x206a && code <= 0x206f) || code == 0xfeff || (code >= 0xfff9 && code <= 0xfffb);
    return control ? 0 : code;
}

/* What ftfy spells out: joined Latin letters, and full- or half-width forms.  False: not such a character. */
static bool spelled_out(int32_t code, struct str *out)
{
    static const struct {
        int32_t code;
        const char *letters;
    } joined[] = {{0x132, "IJ"},         {0x133, "ij"},  {0x149, "'n"},  {0x1c4, "D\xc5\xbd"}, {0x1c5, "D\xc5\xbe"},
                  {0x1c6, "d\xc5\xbe"},  {0x1c7, "LJ"},  {0x1c8, "Lj"},  {0x1c9, "lj"},        {0x1ca, "NJ"},
                  {0x1cb, "Nj"},         {0x1cc, "nj"},  {0x1f1, "DZ"},  {0x1f2, "Dz"},        {0x1f3, "dz"},
                  {0xfb00, "ff"},        {0xfb01, "fi"}, {0xfb02, "fl"}, {0xfb03, "ffi"},      {0xfb04, "ffl"},
                  {0xfb05, "\xc5\xbft"}, {0xfb06, "st"}};
    for (size_t i = 0; i < sizeof joined / sizeof *joined; i++)
        if (joined[i].code == code) {
            str_puts(out, joined[i].letters);
            return true;
        }
    if (code < 0xff01 || code > 0xffef) return false;
    utf8proc_int32_t plain[8];
    utf8proc_ssize_t n = utf8proc_decompose_char(code, plain, 8, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, NULL);
    for (utf8proc_ssize_t i = 0; i < n && i < 8; i++) put(out, plain[i]);
    return n > 0;
}

static void repair_once(const char *text, struct str *out)
{
    str_append(out, "", 0);
    while (*text) {
        if (text[0] == 0x1b && text[1] == '[') { /* terminal escape: ESC [ ... letter */
            size_t n = 2 + strspn(text + 2, "0123456789;");
            if ((text[n] | 32) >= 'a' && (text[n] | 32) <= 'z') {
                text += n + 1;
                continue;
            }
        }
        int32_t code = next(&text);
        if (!spelled_out(code, out) && (code = repaired(code))) put(out, code);
    }
    utf8proc_uint8_t *composed = NULL;
    if (utf8proc_map((const utf8proc_uint8_t *)out->data, 0, &composed,
                     UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE) >= 0) {
        str_clear(out);
        str_puts(out, (const char *)composed);
    }
    free(composed);
}

/* As ftfy: undo HTML references (where no tag is in sight) and fix characters until nothing changes. */
static void repair(const char *text, struct str *out)
{
    struct str before = {0}, plain = {0};
    str_puts(out, text);
    do {
        str_clear(&before);
        str_puts(&before, out->data);
        str_clear(&plain);
        if (strchr(before.data, '<'))
            str_puts(&plain, before.data);
        else
            unescape(before.data, true, &plain);
        str_clear(out);
        repair_once(plain.data, out);
    } while (strcmp(before.data, out->data));
    str_free(&before);
    str_free(&plain);
}

static bool space(int32_t code)
{
    return (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x20) || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
           code == 0x205f || code == 0x3000;
}

static void collapse(const char *text, struct str *out)
{
    bool pending = false, started = false;
    str_append(out, "", 0);
    while (*text) {
        const char *from = text;
        if (space(next(&text))) {
            pending = started;
            continue;
        }
        if (pending) str_putc(out, ' ');
        str_append(out, from, (size_t)(text - from));
        pending = false;
        started = true;
    }
}

void clean_text(const char *text, struct str *out)
{
    struct str a = {0}, b = {0};
    repair(text, &a);
    clean_unescape(a.data, &b);
    str_clear(&a);
    clean_unescape(b.data, &a);
    str_clear(&b);
    collapse(a.data, &b);
    clean_lower(b.data, out);
    str_free(&a);
    str_free(&b);
}
