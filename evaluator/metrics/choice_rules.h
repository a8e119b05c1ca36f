/* Which choice a reply means, as the evaluators of the data sets read it. */
#ifndef EVALUATOR_METRICS_CHOICE_RULES_H
#define EVALUATOR_METRICS_CHOICE_RULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { CHOICES = 26, NO_CHOICE = -1 }; /* letters A to Z */

enum choice_rule {
    CHOICE_LETTER,  /* begins with a letter of the choices, after spaces and brackets: "b", "(B) cat", "B. cat" */
    CHOICE_AI2D,    /* "X." at its begin, else nothing but the letter and punctuation */
    CHOICE_MMMU,    /* "(X)", else "X ", else "X.", the last of them; in six words or more a choice's text */
    CHOICE_MVBENCH, /* the first word that is a letter from a to e, so "a man (B)" means A */
    CHOICE_PERCEPTIONTEST, /* the first word that is a capital from A to D */
};

struct choice_reader;

struct choice_reader *choice_reader_open(void);
void choice_reader_close(struct choice_reader *reader);

/* From 0 for A; NO_CHOICE where the rule finds none of the `count` first letters (MVBench and PerceptionTest: none of
 * theirs).  choices: array [count] of texts, or NULL. */
int64_t choice_read(const struct choice_reader *reader, enum choice_rule rule, const char *reply, const json_t *choices,
                    int64_t count);

/* MMMU's open questions: does the reply hold one of the answers (array of texts), as a number or a text? */
bool choice_holds(const struct choice_reader *reader, const char *reply, const json_t *answers);

#endif
