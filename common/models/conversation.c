/* The chat template, and rows of JSON to turns. */
#include "models/conversation.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const char system_sentence[] =
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language.";

static void put_text(const struct chat_template *t, const char *text, struct token_ids *out)
{
    bpe_encode(t->bpe, text, strlen(text), out);
}

static void put_header(const struct chat_template *t, const char *role, struct token_ids *out)
{
    token_ids_add(out, t->start_header);
    put_text(t, role, out);
    token_ids_add(out, t->end_header);
}

/* Text after a header: the two newlines belong to it, as the whole is cut into pieces at once. */
static void put_body(const struct chat_template *t, const char *text, struct token_ids *out)
{
    struct str all = {0};
    str_puts(&all, "\n\n");
    str_puts(&all, text);
    bpe_encode(t->bpe, all.data, all.len, out);
    str_free(&all);
}

static void put_media(int64_t rows, struct token_ids *out)
{
    for (int64_t i = 0; i < rows; i++) token_ids_add(out, -1);
}

int chat_template_open(struct chat_template *template, const struct bpe *bpe, struct error *error)
{
    struct chat_template t = {.bpe = bpe};
    const struct {
        const char *name;
        int32_t *id;
    } needed[] = {{"<|begin_of_text|>", &t.begin},
                  {"<|end_of_text|>", &t.end},
                  {"<|start_header_id|>", &t.start_header},
                  {"<|end_header_id|>", &t.end_header},
                  {"<|eot_id|>", &t.eot}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        *needed[i].id = bpe_special(bpe, needed[i].name);
        if (*needed[i].id < 0)
            return error_set(error, ERROR_FAILED, "the tokenizer has no %s, which the chat template needs",
                             needed[i].name);
    }
    token_ids_add(&t.opening, t.begin);
    put_header(&t, "system", &t.opening);
    put_body(&t, system_sentence, &t.opening);
    token_ids_add(&t.opening, t.eot);
    *template = t;
    return 0;
}

void chat_template_close(struct chat_template *template)
{
    token_ids_free(&template->opening);
}

/* --- rows of JSON --- */

static void remove_all(char *text, const char *mark)
{
    size_t len = strlen(mark);
    for (char *at = text; (at = strstr(at, mark));) memmove(at, at + len, strlen(at + len) + 1);
}

static int role_of(const char *name)
{
    static const struct {
        const char *name;
        enum turn_role role;
    } roles[] = {{"human", TURN_USER}, {"user", TURN_USER}, {"gpt", TURN_ASSISTANT}, {"assistant", TURN_ASSISTANT}};
    for (size_t i = 0; name && i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(name, roles[i].name)) return (int)roles[i].role;
    return -1;
}

static int add_turn(struct conversation *c, const json_t *value, struct error *error)
{
    const char *from = json_string_value(json_object_get(value, "from"));
    const char *text = json_string_value(json_object_get(value, "value"));
    int role = role_of(from);
    if (role != TURN_USER && !c->count && from) return 0; /* what a system says, or an assistant unasked */
    if (role < 0)
        return error_set(error, ERROR_FAILED, "a turn from \"%.40s\"; must be human or assistant", from ? from : "");
    if (!text) return error_set(error, ERROR_FAILED, "a turn without \"value\"");
    if (c->count % 2 != role) return error_set(error, ERROR_FAILED, "two turns in a row from \"%s\"", from);
    char *clean = mem_strdup(text);
    if (role == TURN_USER) remove_all(clean, "<image>");
    if (role == TURN_USER) remove_all(clean, "<video>");
    c->turns = mem_realloc(c->turns, (size_t)c->count + 1, sizeof *c->turns);
    c->turns[c->count++] = (struct turn){.role = (enum turn_role)role, .text = clean};
    return 0;
}

int conversation_read(struct conversation *conversation, const json_t *turns, struct error *error)
{
    struct conversation c = {0};
    const json_t *turn;
    size_t i;
    int rc = 0;
    json_array_foreach (turns, i, turn)
        if ((rc = add_turn(&c, turn, error)) < 0) break;
    if (rc == 0 && !c.count) rc = error_set(error, ERROR_FAILED, "a conversation without a turn from human");
    if (rc < 0)
        conversation_free(&c);
    else
        *conversation = c;
    return rc;
}

void conversation_free(struct conversation *c)
{
    for (int64_t i = 0; i < c->count; i++) free((char *)(uintptr_t)c->turns[i].text);
    free(c->turns);
    *c = (struct conversation){0};
}

/* --- tokens --- */

/* Tokens [from, out->count) are of a response, those since the last call and before are not. */
static void mark(const struct token_ids *out, int64_t *marked, int64_t from, bool **response)
{
    if (!response) return;
    *response = mem_realloc(*response, (size_t)out->count + 1, sizeof **response);
    for (int64_t i = *marked; i < out->count; i++) (*response)[i] = i >= from;
    *marked = out->count;
}

void conversation_encode(const struct chat_template *t, const struct turn *turns, int64_t count, struct token_ids *out,
                         bool **response)
{
    int64_t marked = 0;
    if (response) *response = NULL;
    for (int64_t i = 0; i < t->opening.count; i++) token_ids_add(out, t->opening.ids[i]);
    for (int64_t i = 0; i < count; i++) {
        int64_t first = out->count;
        bool user = turns[i].role == TURN_USER;
        put_header(t, user ? "user" : "assistant", out);
        if (turns[i].media_rows) {
            put_body(t, "", out);
            put_media(turns[i].media_rows, out);
            put_text(t, turns[i].text, out);
        } else
            put_body(t, turns[i].text, out);
        token_ids_add(out, t->eot);
        if (!user && i + 1 == count) token_ids_add(out, t->end);
        mark(out, &marked, user ? out->count : first, response);
    }
    if (count && turns[count - 1].role == TURN_ASSISTANT) return;
    put_header(t, "assistant", out);
    put_body(t, "", out);
    mark(out, &marked, out->count, response);
}

void conversation_encode_plain(const struct chat_template *t, int64_t media_rows, const char *text,
                               struct token_ids *out, bool **response)
{
    struct str line = {0};
    int64_t marked = 0;
    if (response) *response = NULL;
    put_media(media_rows, out);
    int64_t first = out->count;
    str_printf(&line, "%s\n", text);
    bpe_encode(t->bpe, line.data, line.len, out);
    str_free(&line);
    mark(out, &marked, first, response);
}
