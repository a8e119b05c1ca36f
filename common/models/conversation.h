/* Conversations as a Perception LM or a Llama 3 reads them (perception_models core/data/conversation.py, plm_sft):
 *
 *   begin, header(system), sentence, eot,
 *   header(user), MEDIA, question, eot, header(assistant), answer, eot,      the response: its header to its last token
 *   ...
 *   end
 *
 * MEDIA: id -1 once for each row that is put in.  What looks like a special token in a text stays text. */
#ifndef MODELS_CONVERSATION_H
#define MODELS_CONVERSATION_H

#include <jansson.h>
#include <stdbool.h>

#include "data/bpe.h"

/* The template for one tokenizer; read-only once opened, by any number of threads. */
struct chat_template {
    const struct bpe *bpe; /* borrowed */
    int32_t begin, end, start_header, end_header, eot;
    struct token_ids opening; /* begin to eot of the system's sentence */
};
/* Fails when the vocabulary lacks a token the template needs. */
int chat_template_open(struct chat_template *template, const struct bpe *bpe, struct error *error);
void chat_template_close(struct chat_template *template);

enum turn_role { TURN_USER, TURN_ASSISTANT };

struct turn {
    enum turn_role role;
    const char *text;   /* UTF-8 */
    int64_t media_rows; /* put in before the text */
};

struct conversation {
    struct turn *turns; /* [count] a user's first, then by turns; their texts are the conversation's */
    int64_t count;
};
/* From PLM's rows, [{"from": "human" | "user" | "gpt" | "assistant", "value": text}, ...]: turns before the first of a
 * user (a system's) are left out, and so are the marks <image> and <video>, as media stand first.  Error: a turn
 * without value or of another role, two of one role in a row, none of a user. */
int conversation_read(struct conversation *conversation, const json_t *turns, struct error *error);
void conversation_free(struct conversation *conversation);

/* Append the tokens of the turns.  After a user's last turn the assistant's header follows: a prompt to generate from;
 * after an assistant's, `end`. *response (NULL: not wanted): [out->count] which tokens are of responses, for the caller
 * to free. */
void conversation_encode(const struct chat_template *template, const struct turn *turns, int64_t count,
                         struct token_ids *out, bool **response);
/* The same without the template, as the projector's warm-up has it: rows of media, then text and a line end as the
 * response. */
void conversation_encode_plain(const struct chat_template *template, int64_t media_rows, const char *text,
                               struct token_ids *out, bool **response);

#endif
