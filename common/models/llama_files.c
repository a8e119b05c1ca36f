/* Which tensors of a file a parameter is made of. */
#include "models/llama_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"

/* Rows [first, first + rows) of a parameter are the tensor `name`. */
struct part {
    char name[160];
    int64_t first, rows;
    bool turned; /* rows of each head reordered */
};

/* Our name below decoder. or layers.N., and the names of its parts. */
static const struct {
    const char *ours, *hf[3], *meta[3];
    bool attention; /* parts are q, k, v */
} names[] = {
    {"embedding", {"embed_tokens"}, {"tok_embeddings"}, false},
    {"norm", {"norm"}, {"norm"}, false},
    {"head", {"lm_head"}, {"output"}, false},
    {"attention_norm", {"input_layernorm"}, {"attention_norm"}, false},
    {"attention.qkv",
     {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
     {"attention.wq", "attention.wk", "attention.wv"},
     true},
    {"attention.out", {"self_attn.o_proj"}, {"attention.wo"}, false},
    {"ffn_norm", {"post_attention_layernorm"}, {"ffn_norm"}, false},
    {"feed_forward.gate_up", {"mlp.gate_proj", "mlp.up_proj"}, {"feed_forward.w1", "feed_forward.w3"}, false},
    {"feed_forward.down", {"mlp.down_proj"}, {"feed_forward.w2"}, false},
};

static const char *prefix_of(enum llama_naming naming, const char *ours)
{
    if (naming == LLAMA_META || !strcmp(ours, "head")) return "";
    return naming == LLAMA_HF ? "model." : "model.language_model.";
}

/* The parts of a parameter whose name begins with "decoder."; returns how many. */
static int parts_of(const struct llama *l, const struct parameter *p, enum llama_naming naming, struct part parts[3])
{
    const struct llama_config *c = &l->config;
    const char *inner = p->name + strlen("decoder.");
    char layer[32] = "", stem[64];
    if (str_starts_with(inner, "layers.")) {
        const char *dot = strchr(inner + 7, '.');
        snprintf(layer, sizeof layer, "%.*s", (int)(dot + 1 - inner), inner);
        inner = dot + 1;
    }
    snprintf(stem, sizeof stem, "%.*s", (int)(strlen(inner) - strlen(".weight")), inner);
    int count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(stem, names[i].ours)) continue;
        int64_t rows[3] = {p->tensor.rows}, first = 0;
        const char *const *theirs = naming == LLAMA_META ? names[i].meta : names[i].hf;
        if (names[i].attention)
            rows[0] = c->heads * c->head_dim, rows[1] = rows[2] = c->kv_heads * c->head_dim;
        else if (theirs[1])
            rows[0] = rows[1] = p->tensor.rows / 2;
        for (; count < 3 && theirs[count]; count++) {
            parts[count] = (struct part){
                .first = first, .rows = rows[count], .turned = names[i].attention && naming != LLAMA_META && count < 2};
            snprintf(parts[count].name, sizeof parts[count].name, "%s%s%s.weight", prefix_of(naming, stem), layer,
                     theirs[count]);
            first += rows[count];
        }
    }
    return count;
}

/* Where row r of a part lies in the file. */
static int64_t file_row(const struct llama *l, const struct part *part, int64_t r)
{
    int64_t hd = l->config.head_dim, in_head = r % hd;
    return part->turned ? r - in_head + in_head % 2 * (hd / 2) + in_head / 2 : r;
}

int llama_naming_of(const struct safetensors *file, enum llama_naming *naming, struct error *error)
{
    if (safetensors_find(file, "model.language_model.embed_tokens.weight"))
        *naming = LLAMA_HF_PLM;
    else if (safetensors_find(file, "model.embed_tokens.weight"))
        *naming = LLAMA_HF;
    else if (safetensors_find(file, "tok_embeddings.weight"))
        *naming = LLAMA_META;
    else
        return error_set(error, ERROR_FAILED, "%s: holds no decoder (no embed_tokens or tok_embeddings)", file->path);
    return 0;
}

enum { LOAD_ROWS = 16 };

static int load_part(const struct llama *l, const struct parameters *p, struct parameter *it, const struct part *part,
                     const struct safetensors *file, const struct safetensors_entry *e, struct error *error)
{
    int64_t cols = it->tensor.cols, blocks = (part->rows + LOAD_ROWS - 1) / LOAD_ROWS;
    int failed = 0;
    struct error first = {0};
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t r0 = b * LOAD_ROWS, n = part->rows - r0 < LOAD_ROWS ? part->rows - r0 : LOAD_ROWS;
        float *rows = mem_alloc((size_t)(n * cols), sizeof *rows);
        struct error why = {0};
        int rc = 0;
        for (int64_t r = 0; r < n && rc == 0; r++)
            rc = safetensors_read(file, e, file_row(l, part, r0 + r) * cols, cols, rows + r * cols, &why);
        if (rc == 0) parameters_set(p, it, part->first + r0, n, rows);
        free(rows);
        if (rc < 0)
#pragma omp critical
            failed = 1, first = first.code ? first : why;
    }
    return failed ? error_set(error, first.code, "%s", first.text) : 0;
}

int llama_load(const struct llama *l, const struct parameters *p, const struct safetensors *file,
               enum llama_naming naming, bool *used, struct error *error)
{
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        struct part parts[3];
        if (!str_starts_with(it->name, "decoder.")) continue;
        int count = parts_of(l, it, naming, parts);
        for (int k = 0; k < count; k++) {
            const struct safetensors_entry *e = safetensors_find(file, parts[k].name);
            if (!e) return error_set(error, ERROR_FAILED, "%s: tensor %s is missing", file->path, parts[k].name);
            int64_t rows = e->ndim == 2 ? e->shape[0] : 1, cols = e->ndim == 2 ? e->shape[1] : e->shape[0];
            if (e->ndim < 1 || e->ndim > 2 || rows != parts[k].rows || cols != it->tensor.cols)
                return error_set(error, ERROR_FAILED,
                                 "%s: %s has %ld elements in %d dimensions, the model needs [%ld, %ld]; does the "
                                 "config belong to these weights?",
                                 file->path, e->name, (long)e->count, e->ndim, (long)parts[k].rows,
                                 (long)it->tensor.cols);
            if (load_part(l, p, it, &parts[k], file, e, error) < 0) return -1;
            used[e - file->entries] = true;
        }
    }
    /* tied models may still carry their head */
    const struct safetensors_entry *head =
        safetensors_find(file, naming == LLAMA_META ? "output.weight" : "lm_head.weight");
    if (!head && naming == LLAMA_META) head = safetensors_find(file, "output.tied_module.weight");
    if (head && l->config.tied) used[head - file->entries] = true;
    return 0;
}

void llama_declare(const struct llama *l, const struct parameters *p, enum llama_naming naming,
                   struct safetensors_writer *w)
{
    for (int64_t i = 0; i < p->count; i++) {
        struct part parts[3];
        if (!str_starts_with(p->list[i]->name, "decoder.")) continue;
        int count = parts_of(l, p->list[i], naming, parts);
        for (int k = 0; k < count; k++) {
            int64_t cols = p->list[i]->tensor.cols;
            if (p->list[i]->ndim == 1)
                safetensors_declare(w, parts[k].name, 1, &cols);
            else
                safetensors_declare(w, parts[k].name, 2, (int64_t[]){parts[k].rows, cols});
        }
    }
}

int llama_append(const struct llama *l, const struct parameters *p, enum llama_naming naming,
                 struct safetensors_writer *w, struct error *error)
{
    for (int64_t i = 0; i < p->count; i++) {
        const struct parameter *it = p->list[i];
        struct part parts[3];
        if (!str_starts_with(it->name, "decoder.")) continue;
        int count = parts_of(l, it, naming, parts), rc = 0;
        int64_t cols = it->tensor.cols;
        for (int k = 0; k < count && rc == 0; k++) {
            float *rows = mem_alloc((size_t)(parts[k].rows * cols), sizeof *rows);
            for (int64_t r = 0; r < parts[k].rows; r++)
                memcpy(rows + file_row(l, &parts[k], r) * cols, it->values + (parts[k].first + r) * cols,
                       (size_t)cols * sizeof *rows);
            rc = safetensors_append(w, rows, parts[k].rows * cols, error);
            free(rows);
        }
        if (rc < 0) return -1;
    }
    return 0;
}
