/* What pe-aligner spatial teaches (PE section 5): an encoder's last layer to keep what its best layer knows, and to
 * tell things in a picture apart.
 *
 *   picture, augmented -> frozen encoder -> tokens of layer K ----------------------------.
 *                      -> student, patches hidden, branches dropped -> tokens of its last layer -> L_core + L_loc
 *                      -> teacher of places -> a row for each cell of the grid ------------------------------'
 *
 *   L_core   1 - cosine of each token with the frozen encoder's at its place, mean over tokens
 *   L_loc    (cosine of two tokens of a picture - exp(sharpness (cosine of their rows - 1)))^2, mean over all pairs
 *
 * Student and frozen encoder begin as the same weights; the student loses pooling and text tower, and its blocks get a
 * LayerScale.  Both losses are taken of all tokens, hidden or not, as they leave the last block; the class token has a
 * part in neither (in L_core when asked).  Hidden patches keep their position and lose their content. */
#ifndef ALIGNER_SPATIAL_H
#define ALIGNER_SPATIAL_H

#include "aligner/teacher.h"
#include "data/loader.h"
#include "models/towers.h"
#include "run/training.h"

struct spatial_settings {
    struct data_settings data;
    char *model, *pretrained;
    int64_t image_size;
    /* student */
    double layer_scale, drop_path, mask_ratio;
    int64_t mask_block;
    bool preserve;
    /* losses */
    double core_layer, core_weight, local_weight, sharpness;
    bool core_class;
    struct teacher_settings teacher;
    struct augment_settings augment;
};

struct spatial {
    struct spatial_settings settings; /* first: the option table fills it */
    struct training *run;
    struct towers student, core; /* core: the frozen encoder up to its layer K */
    struct tape core_tape;
    struct device cpu;
    bool inserted; /* the weights it starts from have no LayerScale of their own */
    struct pupil pupil;
    const struct teacher *teacher; /* NULL: L_loc has no weight */
    void *taught;                  /* its state */
    struct collection data;
    struct augmentation augmentation;
    struct loader *loader;
    struct batch **slices;    /* [mine] of the step under way */
    struct arena host, there; /* of a slice */
    double *sums;             /* [slices, 2] on the device: of cosines, of pictures' L_loc */
};

extern const struct option_program spatial_program;
extern const struct objective spatial_objective;

/* Steps of the objective (spatial_step.c); see run/objective.h. */
size_t spatial_host_bytes(const struct spatial *spatial); /* of `host` */
int64_t spatial_core_rows(const struct spatial *spatial); /* of a picture, that L_core is taken of */
int spatial_receive(void *spatial, int64_t n, double *waited, struct error *error);
void spatial_backward(void *spatial, int64_t n);
double spatial_macs(void *spatial);

#endif
