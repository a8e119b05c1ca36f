/* Answers as the VQA evaluator compares them: punctuation, articles, numbers and contractions made alike.
 *
 *   The  Cat's, hat!  ->  cat's hat  (VQAv2),  cat 's hat  (TextVQA, which splits words first)
 *
 * The evaluator is vqaEval.py of the VQA data set; this is the copy that lmms-eval 0.7.3 runs. */
#ifndef EVALUATOR_METRICS_VQA_WORDS_H
#define EVALUATOR_METRICS_VQA_WORDS_H

#include <stdbool.h>

/* The caller frees it.  split: first lower case, without commas and question marks, 's as a word. */
char *vqa_words(const char *text, bool split);

/* The punctuation alone, in place.  commas: a run of commas between digits counts, else one alone. */
char *vqa_punctuation(char *text, bool commas);

#endif
