/* Tokens per second of a Llama-3.2-1B with random weights: decoder bf16|int8 SEQUENCES PROMPT TOKENS THREADS REPEATS.
 *
 * decoder memory THREADS: GB/s of reading a gigabyte, the limit of generating one sequence.
 *
 * SEQUENCES prompts of PROMPT tokens, then TOKENS each; prints "prompt tokens/s" "generated tokens/s" "GB/s of weights
 * read while generating", medians. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "data/wide.h"
#include "models/generate.h"

static const struct llama_config shape = {.vocab_size = 128256,
                                          .width = 2048,
                                          .layers = 16,
                                          .heads = 32,
                                          .kv_heads = 8,
                                          .head_dim = 64,
                                          .mlp_width = 8192,
                                          .context = 131072,
                                          .norm_eps = 1e-5,
                                          .rope_theta = 500000,
                                          .rope_factor = 32,
                                          .rope_low = 1,
                                          .rope_high = 4,
                                          .rope_context = 8192,
                                          .tied = true};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Uniform in +-0.05: any values take the same time. */
static void fill(struct parameters *p)
{
    uint32_t state = 1;
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        float *row = mem_alloc((size_t)it->tensor.cols, sizeof *row);
        for (int64_t r = 0; r < it->tensor.rows; r++) {
            for (int64_t k = 0; k < it->tensor.cols; k++)
                row[k] =
                    it->ndim == 1 ? 1 : ((float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - .5f) * .1f;
            parameters_set(p, it, r, 1, row);
        }
        free(row);
    }
}

static int run(struct llama *l, struct device *d, int64_t sequences, int64_t prompt, int64_t tokens,
               double *prompt_rate, double *rate)
{
    struct error error = {0};
    struct generator_config config = {
        .sequences = sequences, .rows = sequences * prompt, .context = prompt + tokens + 1};
    struct sampling sampling = {.most = tokens + 1};
    struct generator *g = generator_open(l, d, &config, &sampling);
    int32_t *ids = mem_alloc((size_t)prompt, sizeof *ids);
    for (int64_t s = 0; s < sequences; s++) {
        for (int64_t i = 0; i < prompt; i++) ids[i] = (int32_t)((s * 7919 + i * 104729) % 128000);
        struct prompt p = {.ids = ids, .count = prompt, .key = (uint64_t)s};
        if (generator_submit(g, &p, &error) < 0) return -1;
    }
    double start = clock_seconds();
    while (generator_figures(g).prompt_rows < sequences * prompt) generator_step(g);
    double middle = clock_seconds();
    int64_t before = generator_figures(g).generated_rows;
    while (generator_step(g)) continue;
    double end = clock_seconds();
    *prompt_rate = (double)(sequences * prompt) / (middle - start);
    *rate = (double)(generator_figures(g).generated_rows - before) / (end - middle);
    generator_close(g);
    free(ids);
    return 0;
}

WIDE static uint64_t sum_of(const uint64_t *block, int64_t count)
{
    uint64_t sum = 0;
    for (int64_t k = 0; k < count; k++) sum += block[k];
    return sum;
}

static int memory(int threads)
{
    enum { COUNT = 1 << 27 };
    const uint64_t *block = mem_map(COUNT, sizeof *block);
    double best = 0;
    uint64_t sum = 0;
    memset((void *)(uintptr_t)block, 1, COUNT * sizeof *block);
    for (int i = 0; i < 5; i++) {
        double start = clock_seconds();
#pragma omp parallel for num_threads(threads) reduction(+ : sum)
        for (int64_t k = 0; k < COUNT; k += 1 << 16) sum += sum_of(block + k, 1 << 16);
        double rate = COUNT * sizeof *block / (clock_seconds() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    printf("%.2f\n", sum ? best : 0);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "memory")) return memory(atoi(argv[2]));
    if (argc != 7) return 2;
    bool whole = !strcmp(argv[1], "int8");
    int64_t sequences = atoll(argv[2]), prompt = atoll(argv[3]), tokens = atoll(argv[4]);
    int threads = atoi(argv[5]), repeats = atoi(argv[6]);
    struct device d;
    struct error error = {0};
    struct llama l;
    struct parameters p = {0};
    if (device_open(&d, "cpu", "fp32", NULL, threads, 0, &error) < 0) return 1;
    llama_register(&l, &p, &shape);
    parameters_allocate(&p);
    parameters_pack(&p, "decoder.", whole ? PACKING_INT8 : PACKING_BF16, &d);
    fill(&p);
    parameters_place(&p, &d, false);
    double prompts[64], rates[64];
    for (int i = 0; i < repeats && i < 64; i++)
        if (run(&l, &d, sequences, prompt, tokens, &prompts[i], &rates[i]) < 0) return 1;
    qsort(prompts, (size_t)repeats, sizeof *prompts, ascending);
    qsort(rates, (size_t)repeats, sizeof *rates, ascending);
    double bytes = (whole ? 1 + 4. / 64 : 2) *
                   (double)parameters_elements(&p); /* all are read in every pass, the table as the head */
    printf("%.2f %.2f %.2f\n", prompts[repeats / 2], rates[repeats / 2],
           rates[repeats / 2] / (double)sequences * bytes / 1e9);
    return 0;
}
