/* Videos whose objects are to be followed, in DAVIS's layout:
 *
 *   JPEGImages/480p/SEQUENCE/00000.jpg ...    frames, in byte order of their names, all of one size
 *   Annotations/480p/SEQUENCE/00000.png ...   masks of the same names (data/mask.h): that of the first frame, which is
 *                                             given, and those of all others, where there is a truth
 *   ImageSets/2017/val.txt                    the sequences that count, one a line; without it all folders */
#ifndef EVALUATOR_CLIPS_H
#define EVALUATOR_CLIPS_H

#include "data/mask.h"
#include "serve/deal.h"

struct clip {
    char *name;
    int64_t first, frames; /* its frames are numbers [first, first + frames) of all */
    struct extent size;    /* of its frames and masks, in pixels */
    int objects;           /* numbered 1 .. objects, by the first mask; 255 is none */
};

struct clips {
    struct clip *list;      /* [count] */
    char **frames, **masks; /* [frame_count] paths; masks NULL where there is none */
    int64_t count, frame_count;
    int64_t max_pixels;
    bool scored; /* all frames of all sequences have a mask; else only the first of each has */
};

/* names: a file to read instead of val.txt, or NULL.  Reads the first frame's header and the first mask of each.  Close
 * it whether or not it fails. */
int clips_open(struct clips *s, const char *folder, const char *names, int64_t max_pixels, struct error *error);
void clips_close(struct clips *s);

int64_t clips_of_frame(const struct clips *s, int64_t frame); /* the number of its sequence */
/* The mask of a frame, which must have its sequence's size. */
int clips_mask(const struct clips *s, int64_t frame, struct mask *mask, struct error *error);

/* The size at which frames of this size are seen: the shorter side becomes short_side, the longer one follows and is
 * floored to a multiple.  Of a square the width counts as the longer. */
struct extent clips_fit(struct extent size, int64_t short_side, int64_t multiple);

#endif
