/* NumPy's .npy files: an array of numbers behind a text header.
 *
 *   | 93 "NUMPY" major minor | header length: u16, from major 2 on u32 |
 *   | {'descr': '<f4', 'fortran_order': False, 'shape': (n, dim), } padded, newline | data |
 *
 * Read are float32, float64, int32 and int64 in little-endian C order; anything else, and a file longer or shorter than
 * its shape says, is an error that names the file. */
#ifndef DATA_NPY_H
#define DATA_NPY_H

#include <stdbool.h>

#include "base/fs.h"

enum { NPY_DIMS = 8 };

struct npy {
    int dims;
    int64_t shape[NPY_DIMS], count; /* count: the product, 1 for a scalar */
    bool real;                      /* else whole numbers */
    int bytes;                      /* of an element: 4 or 8 */
    const unsigned char *data;      /* [count], in any alignment */
    struct fs_map map;
};

/* Close it whether or not it fails.  npy_parse: of bytes that live as long; npy: zeroes; `name` stands for the file. */
int npy_open(struct npy *npy, const char *path, struct error *error);
int npy_parse(struct npy *npy, const char *name, const unsigned char *bytes, size_t len, struct error *error);
void npy_close(struct npy *npy);

/* Elements [first, first + count), of either kind; int64 beyond 2^53 is rounded. */
void npy_reals(const struct npy *npy, int64_t first, int64_t count, double *out);
/* The same of an array of whole numbers (checked). */
void npy_integers(const struct npy *npy, int64_t first, int64_t count, int64_t *out);

/* data [rows, cols] as float32, whole or not at all (fs_write). */
int npy_write(const char *path, const float *data, int64_t rows, int64_t cols, struct error *error);

#endif
