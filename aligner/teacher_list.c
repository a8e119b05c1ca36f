/* The teachers of places, by name. */
#include "aligner/teacher.h"

#include <stddef.h>

extern const struct teacher teacher_masks, teacher_file;

const struct teacher *const teacher_list[] = {&teacher_masks, &teacher_file, NULL};
