/* Files of predictions, with the pictures they are of and their truth. */
#ifndef EVALUATOR_REPORT_FILES_H
#define EVALUATOR_REPORT_FILES_H

#include "config/options.h"

struct predicted_file {
    char *name;                        /* without ending */
    char *picture, *predicted, *truth; /* paths; truth NULL: there is none */
};
struct predicted_files {
    struct predicted_file *list;
    int64_t count;
};

/* folders: PICTURES PREDICTED [TRUTH].  Every .png (and .npy, with `arrays`) in PREDICTED; its picture and its truth
 * are the files of its name but for the ending, or else the ones that end in its number (rgb_00012.jpg,
 * sync_depth_00012.png).  One that is not there, or two that fit, are errors.  option: how messages call it.  Close it
 * whether or not it fails. */
int predicted_open(struct predicted_files *files, const char *option, const struct option_list *folders, bool arrays,
                   struct error *error);
void predicted_close(struct predicted_files *files);

#endif
