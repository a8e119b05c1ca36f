"""llama.cpp on the same shape: peer_decoder.py MODEL bf16|q8_0 SEQUENCES PROMPT TOKENS THREADS REPEATS; makes MODEL-TYPE.gguf (2.5 or 1.3 GB, random) when it is not there.

Prints "prompt tokens/s" "generated tokens/s", medians."""
import os, sys, time
import numpy as np

kind, (sequences, prompt, tokens, threads, repeats) = sys.argv[2], map(int, sys.argv[3:8])
path = f"{sys.argv[1]}-{kind}.gguf"


def make():
    import gguf
    w = gguf.GGUFWriter(path + ".part", "llama")
    width, layers, heads, kv, mlp, vocabulary = 2048, 16, 32, 8, 8192, 128256
    w.add_context_length(131072); w.add_embedding_length(width); w.add_block_count(layers); w.add_feed_forward_length(mlp); w.add_head_count(heads)
    w.add_head_count_kv(kv); w.add_layer_norm_rms_eps(1e-5); w.add_rope_freq_base(500000.0); w.add_rope_dimension_count(64); w.add_vocab_size(vocabulary)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_BF16 if kind == "bf16" else gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("llama-bpe")
    w.add_token_list([f"t{i}" for i in range(vocabulary)]); w.add_token_types([1] * vocabulary); w.add_token_merges(["t 1"]); w.add_bos_token_id(0); w.add_eos_token_id(1)
    rng = np.random.default_rng(1)
    raw = gguf.GGMLQuantizationType[kind.upper()]
    def add(name, rows, cols):
        w.add_tensor(name, gguf.quants.quantize((rng.random((rows, cols), dtype=np.float32) - 0.5) * 0.1, raw), raw_dtype=raw)
    add("token_embd.weight", vocabulary, width)
    for i in range(layers):
        for name, rows, cols in (("attn_q", width, width), ("attn_k", 512, width), ("attn_v", 512, width), ("attn_output", width, width), ("ffn_gate", mlp, width), ("ffn_up", mlp, width),
                                 ("ffn_down", width, mlp)):
            add(f"blk.{i}.{name}.weight", rows, cols)
        for name in ("attn_norm", "ffn_norm"):
            w.add_tensor(f"blk.{i}.{name}.weight", np.ones(width, np.float32))
    w.add_tensor("output_norm.weight", np.ones(width, np.float32))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    os.rename(path + ".part", path)


if not os.path.exists(path):
    make()
import llama_cpp as L
L.llama_backend_init()
quiet = L.llama_log_callback(lambda *a: None)
L.llama_log_set(quiet, None)
mp = L.llama_model_default_params()
model = L.llama_model_load_from_file(path.encode(), mp)
cp = L.llama_context_default_params()
cp.n_ctx = sequences * (prompt + tokens + 32); cp.n_batch = 2048; cp.n_ubatch = 512; cp.n_threads = threads; cp.n_threads_batch = threads; cp.n_seq_max = sequences
ctx = L.llama_init_from_model(model, cp)
batch = L.llama_batch_init(2048, 0, sequences)


def decode(rows):
    batch.n_tokens = len(rows)
    for i, (token, place, seq, logits) in enumerate(rows):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, place, 1, logits
        batch.seq_id[i][0] = seq
    assert L.llama_decode(ctx, batch) == 0


def best(i):
    return int(np.argmax(np.ctypeslib.as_array(L.llama_get_logits_ith(ctx, i), (128256,))))


prompts, rates = [], []
for _ in range(repeats):
    L.llama_memory_clear(L.llama_get_memory(ctx), True)
    start, last = time.perf_counter(), []
    for s in range(sequences):
        decode([((s * 7919 + i * 104729) % 128000, i, s, i == prompt - 1) for i in range(prompt)])
        last.append(best(prompt - 1))
    middle = time.perf_counter()
    for t in range(tokens):
        decode([(last[s], prompt + t, s, True) for s in range(sequences)])
        last = [best(s) for s in range(sequences)]
    end = time.perf_counter()
    prompts.append(sequences * prompt / (middle - start)); rates.append(sequences * tokens / (end - middle))
print(f"{sorted(prompts)[repeats // 2]:.2f} {sorted(rates)[repeats // 2]:.2f}")
