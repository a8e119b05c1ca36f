/* Sample numbers over several data sets. */
#include "data/collection.h"

#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"

/* A data set that was packed, or of whose pack something is there; or files. */
static int open_set(struct dataset *set, const char *path, struct error *error)
{
    static const char *const packed[] = {"dataset.json", "pack.json"};
    bool shards = !fs_exists(path);
    for (int i = 0; i < 2 && !shards; i++) {
        char *inner = fs_join(path, packed[i]);
        shards = fs_exists(inner);
        free(inner);
    }
    return shards ? dataset_open(set, path, error) : dataset_open_files(set, path, error);
}

int collection_open(struct collection *collection, char *const *folders, int64_t count, struct error *error)
{
    struct collection c = {.sets = mem_zalloc((size_t)count + 1, sizeof *c.sets)};
    c.shares = mem_zalloc((size_t)count + 1, sizeof *c.shares);
    for (int64_t i = 0; i < count; i++) {
        if (open_set(&c.sets[i], folders[i], error) < 0) {
            collection_close(&c);
            return -1;
        }
        c.count++;
        c.samples += c.shares[i] = c.sets[i].samples;
        c.videos += c.sets[i].videos;
    }
    c.epoch = c.samples;
    *collection = c;
    return 0;
}

void collection_close(struct collection *c)
{
    for (int64_t i = 0; i < c->count; i++) dataset_close(&c->sets[i]);
    free(c->sets);
    free(c->shares);
    *c = (struct collection){0};
}

void collection_trust(struct collection *c)
{
    for (int64_t i = 0; i < c->count; i++) c->sets[i].trusted = true;
}

int collection_weigh(struct collection *c, char *const *factors, int64_t count, struct error *error)
{
    if (count != c->count)
        return error_set(error, ERROR_USAGE, "%ld upsampling factors for %ld data sets", (long)count, (long)c->count);
    c->epoch = 0;
    for (int64_t i = 0; i < count; i++) {
        char *end;
        double factor = strtod(factors[i], &end);
        if (*end || end == factors[i] || !(factor >= 0 && factor < 1e6))
            return error_set(error, ERROR_USAGE, "upsampling factor \"%s\": not a number from 0 on", factors[i]);
        c->epoch += c->shares[i] = c->sets[i].samples ? llround(factor * (double)c->sets[i].samples) : 0;
    }
    return c->epoch ? 0 : error_set(error, ERROR_USAGE, "the upsampling factors leave no samples");
}

int64_t collection_draw(const struct collection *c, uint64_t seed, uint64_t epoch, uint64_t place)
{
    if (c->epoch == c->samples && c->count == 1) return (int64_t)rng_permute(seed, epoch, place, (uint64_t)c->samples);
    int64_t at = (int64_t)rng_permute(seed, epoch, place, (uint64_t)c->epoch), first = 0, set = 0;
    while (at >= c->shares[set]) at -= c->shares[set], first += c->sets[set++].samples;
    uint64_t size = (uint64_t)c->sets[set].samples;
    return first + (int64_t)rng_permute(seed + (uint64_t)set + 1, epoch, (uint64_t)at % size, size);
}

/* The data set that holds a sample, whose number within it replaces *sample. */
static const struct dataset *set_of(const struct collection *c, int64_t *sample)
{
    const struct dataset *d = c->sets;
    while (*sample >= d->samples) *sample -= (d++)->samples;
    return d;
}

int collection_read(const struct collection *c, int64_t sample, struct record *record, struct error *error)
{
    const struct dataset *d = set_of(c, &sample);
    return dataset_read(d, sample, record, error);
}

int collection_read_texts(const struct collection *c, int64_t sample, struct record *record, struct error *error)
{
    const struct dataset *d = set_of(c, &sample);
    return dataset_read_texts(d, sample, record, error);
}

int collection_reach(const struct collection *c, int64_t sample, struct error *error)
{
    const struct dataset *d = set_of(c, &sample);
    return dataset_reach(d, sample, error);
}

int64_t collection_pictures(const struct collection *c, const struct media_options *media)
{
    return c->videos ? media->frames : 1;
}

uint64_t collection_identity(const struct collection *c)
{
    uint64_t identity = 0;
    for (int64_t i = 0; i < c->count; i++) {
        uint64_t set = dataset_identity(&c->sets[i]);
        identity = XXH3_64bits_withSeed(&set, sizeof set, identity);
    }
    return identity;
}
