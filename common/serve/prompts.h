/* What pictures are asked for: class names, and templates that make texts of them.
 *
 * Published ones are built in, under the names that clip_benchmark gives the sets ('-' and '_' are the same;
 * prompts/README.md says where each is from).  Others are files, a line each. */
#ifndef SERVE_PROMPTS_H
#define SERVE_PROMPTS_H

#include "data/collection.h"
#include "data/texts.h"

struct class_list {
    char **names;   /* [count] in the order of labels */
    char **folders; /* [count] what an ImageFolder calls the classes (ImageNet's wnids, say), or NULL */
    int64_t count;
    int border;     /* pixels to cut off each side of its pictures */
    bool published; /* no file's */
};
/* name: a published list, or a file with a name a line, after a folder's and a tab where its lines have one. */
int class_list_open(struct class_list *list, const char *name, struct error *error);
void class_list_close(struct class_list *list);

/* "a photo of a {c}.": {c} or {} stands for the name.  name: a published list, or a file; texts_free frees them. */
int templates_open(const char *name, char ***templates, int64_t *count, struct error *error);
int templates_check(char *const *templates, int64_t count, struct error *error);
char *template_fill(const char *template, const char *name); /* the caller frees */

/* What the pictures of a data set are told apart into. */
struct prompts {
    char **names, **templates;
    int64_t class_count, template_count;
    int32_t *class_of; /* [label_count] the class of a label of the data, -1: it is not among them; NULL: the label */
    int64_t label_count;
    int border;                        /* as of the class list */
    char *names_from, *templates_from; /* where they are from, in a word */
};
/* classes, templates: names as above; NULL: the data's own, whose sets must agree on them, and without any
 * "a photo of a {c}.".  Where the data's class names are folders of the list, labels follow these, so that the list may
 * be one of fewer classes; else labels are the list's order, and a published list must be as long as the data's own.
 * The data's own names that are all wnids of ImageNet-1k mean the names of these. */
int prompts_open(struct prompts *prompts, const struct collection *data, const char *classes, const char *templates,
                 struct error *error);
void prompts_close(struct prompts *prompts);

#endif
