/* Conversations: what the template writes, which of it is response, rows of JSON as they come. */
#include <stdlib.h>
#include <string.h>

#include "data/bpe_file.h"
#include "models/conversation.h"
#include "test/harness.h"

static struct bpe *bpe;
static struct chat_template template;

static bool open_template(void)
{
    struct error error = {0};
    if (bpe) return true;
    int rc = bpe_open(&bpe, "test/golden/bpe/tokenizer.json", &error);
    if (rc == 0) rc = chat_template_open(&template, bpe, &error);
    EXPECT(rc == 0, "%s", error.text);
    return rc == 0;
}

/* Ids as text: special tokens as [b] [e] [ [h] ]... in short, rows of media as #; of a response only, where given. */
static char *spell(const struct token_ids *ids, const bool *response)
{
    struct str out = {0};
    const struct {
        int32_t id;
        const char *name;
    } special[] = {{template.begin, "[begin]"}, {template.end, "[end]"}, {template.start_header, "["},
                   {template.end_header, "]"},  {template.eot, "[eot]"}, {-1, "#"}};
    for (int64_t i = 0; i < ids->count; i++) {
        const char *name = NULL;
        if (response && !response[i]) continue;
        for (size_t k = 0; k < sizeof special / sizeof *special; k++)
            if (ids->ids[i] == special[k].id) name = special[k].name;
        if (name)
            str_puts(&out, name);
        else
            bpe_decode(bpe, &ids->ids[i], 1, &out);
    }
    return str_steal(&out);
}

static const char opening[] = "[begin][system]\n\nYou are a helpful language and vision assistant. You are able to "
                              "understand the visual content that the user provides, and assist the user "
                              "with a variety of tasks using natural language.[eot]";

/* The turns' tokens are these, in so many tokens, and the response is that. */
static void expect_turns(const char *name, const struct turn *turns, int64_t count, const char *want, int64_t tokens,
                         const char *response)
{
    struct token_ids ids = {0};
    bool *learned;
    conversation_encode(&template, turns, count, &ids, &learned);
    char *all = spell(&ids, NULL), *learn = spell(&ids, learned);
    EXPECT(!strncmp(all, opening, strlen(opening)), "%s: %s", name, all);
    EXPECT(!strcmp(all + strlen(opening), want), "%s: %s", name, all + strlen(opening));
    EXPECT(!strcmp(learn, response), "%s: response %s", name, learn);
    EXPECT(ids.count == tokens, "%s: %ld tokens", name, (long)ids.count);
    free(all), free(learn), free(learned);
    token_ids_free(&ids);
}

static void templates(void)
{
    if (!open_template()) return;
    expect_turns("prompt", &(struct turn){TURN_USER, "What moves?", 3}, 1,
                 "[user]\n\n###What moves?[eot][assistant]\n\n", 125, "");
    expect_turns("answered", (struct turn[]){{TURN_USER, "Say <|eot_id|> as text"}, {TURN_ASSISTANT, "fine"}}, 2,
                 "[user]\n\nSay <|eot_id|> as text[eot][assistant]\n\nfine[eot][end]", 131,
                 "[assistant]\n\nfine[eot][end]");
    expect_turns("turns",
                 (struct turn[]){{TURN_USER, "a", 1}, {TURN_ASSISTANT, "b"}, {TURN_USER, "c"}, {TURN_ASSISTANT, "d"}},
                 4, "[user]\n\n#a[eot][assistant]\n\nb[eot][user]\n\nc[eot][assistant]\n\nd[eot][end]", 136,
                 "[assistant]\n\nb[eot][assistant]\n\nd[eot][end]");
    struct token_ids ids = {0};
    bool *learned;
    conversation_encode_plain(&template, 2, "a dog", &ids, &learned);
    char *all = spell(&ids, NULL), *learn = spell(&ids, learned);
    EXPECT(!strcmp(all, "##a dog\n") && !strcmp(learn, "a dog\n"), "plain: %s, response %s", all, learn);
    free(all), free(learn), free(learned);
    token_ids_free(&ids);
}

/* "human text|assistant text|..." of a row's turns, or "error: " and why. */
static char *read_row(const char *json)
{
    struct error error = {0};
    struct conversation talk;
    struct str out = {0};
    json_t *row = json_loads(json, 0, NULL);
    EXPECT(row, "%s", json);
    if (conversation_read(&talk, row, &error) < 0)
        str_printf(&out, "error: %s", error.text);
    else {
        for (int64_t i = 0; i < talk.count; i++)
            str_printf(&out, "%s%c %s", i ? "|" : "", talk.turns[i].role == TURN_USER ? 'u' : 'a', talk.turns[i].text);
        conversation_free(&talk);
    }
    json_decref(row);
    return str_steal(&out);
}

static void rows(void)
{
    static const struct {
        const char *row, *want;
    } cases[] = {{"[{\"from\":\"human\",\"value\":\"<image>\\nWhat?\"},{\"from\":\"gpt\",\"value\":\"a <image> dog\"}]",
                  "u \nWhat?|a a <image> dog"},
                 {"[{\"from\":\"user\",\"value\":\"<video>See<image>n?\"}]", "u Seen?"},
                 {"[{\"from\":\"system\",\"value\":\"You are a "
                  "parrot.\"},{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"r\"}]",
                  "u q|a r"},
                 {"[{\"from\":\"gpt\",\"value\":\"Hello\"},{\"from\":\"human\",\"value\":\"q\"},{\"from\":"
                  "\"assistant\",\"value\":\"r\"}]",
                  "u q|a r"},
                 {"[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"human\",\"value\":\"r\"}]",
                  "error: two turns in a row from \"human\""},
                 {"[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"tool\",\"value\":\"r\"}]",
                  "error: a turn from \"tool\"; must be human or assistant"},
                 {"[{\"from\":\"human\"}]", "error: a turn without \"value\""},
                 {"[{\"value\":\"q\"}]", "error: a turn from \"\"; must be human or assistant"},
                 {"[{\"from\":\"gpt\",\"value\":\"r\"}]", "error: a conversation without a turn from human"},
                 {"[]", "error: a conversation without a turn from human"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = read_row(cases[i].row);
        EXPECT(!strcmp(got, cases[i].want), "%s: %s, want %s", cases[i].row, got, cases[i].want);
        free(got);
    }
}

int main(int argc, char **argv)
{
    int rc =
        test_main(argc, argv, (struct test[]){{"conversation_template", templates}, {"conversation_rows", rows}, {0}});
    chat_template_close(&template);
    bpe_close(bpe);
    return rc;
}
