/* Which of many examples a report shows: the worst, the best, and a sample that figures have no say in. */
#ifndef EVALUATOR_REPORT_CHOICE_H
#define EVALUATOR_REPORT_CHOICE_H

#include <stdint.h>

enum chosen_for { CHOSEN_WORST, CHOSEN_BEST, CHOSEN_SAMPLE };
extern const char *const chosen_words[]; /* by chosen_for: "worst" ... */

struct choice {
    int64_t item;
    enum chosen_for why;
};

/* Up to 3 x each of items [count] by their scores (the larger the better; of equal ones the earlier is the worse); the
 * sample is spread evenly over those left, in their order.  scores NULL: the sample alone, up to 3 x each.  choices
 * [3 x each] in the order worst, best, sample; returns how many. */
int64_t choose_examples(const double *scores, int64_t count, int64_t each, struct choice *choices);

#endif
