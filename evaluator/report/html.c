/* Escaping, and the frame of the page. */
#include "evaluator/report/html.h"

#include <stdint.h>
#include <string.h>

#include "base/embed.h"
#include "base/utf8.h"

EMBED_FILE(report_style, "evaluator/report/style.css");

static void put_code(struct str *out, int32_t code, const char *from, const char *to)
{
    bool control = code < 0 || (code < ' ' && code != '\t' && code != '\n') || (code >= 0x7f && code < 0xa0);
    if (control || code == 0xfffe || code == 0xffff)
        str_puts(out, "\xef\xbf\xbd");
    else if (code == '<')
        str_puts(out, "&lt;");
    else if (code == '>')
        str_puts(out, "&gt;");
    else if (code == '&')
        str_puts(out, "&amp;");
    else if (code == '"')
        str_puts(out, "&quot;");
    else if (code == '\'')
        str_puts(out, "&#39;");
    else
        str_append(out, from, (size_t)(to - from));
}

void html_brief(struct str *out, const char *text, int most)
{
    for (int n = 0; *text; n++) {
        const char *from = text;
        int32_t code = utf8_next(&text, NULL);
        if (n == most) {
            str_puts(out, "\xe2\x80\xa6");
            return;
        }
        put_code(out, code, from, text);
    }
}

void html_text(struct str *out, const char *text)
{
    html_brief(out, text, INT32_MAX);
}

void html_put(struct str *out, const char *before, const char *text, const char *after)
{
    str_puts(out, before);
    html_text(out, text);
    str_puts(out, after);
}

void html_open(struct str *out, const char *title)
{
    str_puts(out, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n");
    html_put(out, "<title>", title, "</title>\n<style>\n");
    str_append(out, report_style, (size_t)(report_style_end - report_style));
    str_puts(out, "</style>\n<main>\n");
}

void html_close(struct str *out)
{
    str_puts(out, "</main>\n</html>\n");
}

void html_base64(struct str *out, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = bytes;
    for (size_t i = 0; i < len; i += 3) {
        size_t rest = len - i;
        uint32_t three = (uint32_t)b[i] << 16 | (rest > 1 ? (uint32_t)b[i + 1] << 8 : 0) | (rest > 2 ? b[i + 2] : 0);
        char four[4];
        for (int k = 0; k < 4; k++) four[k] = digits[three >> (18 - 6 * k) & 63];
        if (rest < 3) four[3] = '=';
        if (rest < 2) four[2] = '=';
        str_append(out, four, sizeof four);
    }
}
