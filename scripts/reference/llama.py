#!/usr/bin/env python3
"""Vectors for test/golden/llama: transformers' Llama at tiny size with random weights, in the three kinds of files its weights come in.

    python3 scripts/reference/llama.py        (needs torch, transformers, safetensors)

tied/    config.json, model.safetensors; rotary scaling as Llama 3.1's, head tied to the embedding
untied/  config.json, model.safetensors.index.json and two parts; plain rotary, a head of its own
meta/    params.json, consolidated.pth: the weights of untied/ under Meta's names and in its row order
*/vectors.safetensors: token ids of two sequences, logits, loss (mean of next-token cross entropy) and its gradients
"""
import json, os, sys
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden/llama")
LENGTHS = (21, 48)


def rows_to_meta(w, heads):
    """Halves of each head (Hugging Face) to neighbouring pairs (Meta)."""
    dim = w.shape[0] // heads
    return w.view(heads, 2, dim // 2, w.shape[1]).transpose(1, 2).reshape(w.shape).contiguous()


def make(name, config):
    torch.manual_seed(sum(map(ord, name)))
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * (0.3 if p.ndim > 1 else 0.2) + (1 if p.ndim == 1 else 0))
    folder = os.path.join(here, name)
    os.makedirs(folder, exist_ok=True)
    vectors = {}
    total = 0.0
    model.zero_grad()
    for i, length in enumerate(LENGTHS):
        ids = torch.randint(0, config.vocab_size, (1, length))
        logits = model(ids).logits
        total = total + torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum")
        vectors[f"ids{i}"] = ids[0].float()
        vectors[f"logits{i}"] = logits[0].detach().clone()
    loss = total / (sum(LENGTHS) - len(LENGTHS))
    loss.backward()
    vectors["loss"] = loss.detach().reshape(1)
    for key, p in model.named_parameters():
        vectors["grad." + key] = p.grad.clone()
    save_file(vectors, os.path.join(folder, "vectors.safetensors"))
    text = config.to_dict()
    json.dump(text, open(os.path.join(folder, "config.json"), "w"), indent=1)
    return model, folder


common = dict(vocab_size=160, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, head_dim=8,
              rms_norm_eps=1e-5, max_position_embeddings=128)
model, folder = make("tied", LlamaConfig(**common, tie_word_embeddings=True, rope_parameters=dict(
    rope_theta=500.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)))
save_file({k: v.detach().clone() for k, v in model.named_parameters()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})

model, folder = make("untied", LlamaConfig(**common, tie_word_embeddings=False, rope_parameters=dict(rope_theta=10000.0, rope_type="default")))
tensors = {k: v.detach().clone() for k, v in model.named_parameters()}
names = sorted(tensors)
parts = (names[: len(names) // 2], names[len(names) // 2 :])
index = {"metadata": {"total_size": sum(t.numel() * 4 for t in tensors.values())}, "weight_map": {}}
for i, part in enumerate(parts):
    file = f"model-{i + 1:05d}-of-00002.safetensors"
    save_file({k: tensors[k] for k in part}, os.path.join(folder, file), metadata={"format": "pt"})
    index["weight_map"].update({k: file for k in part})
json.dump(index, open(os.path.join(folder, "model.safetensors.index.json"), "w"), indent=1)

meta = {"tok_embeddings.weight": tensors["model.embed_tokens.weight"], "norm.weight": tensors["model.norm.weight"], "output.weight": tensors["lm_head.weight"]}
for i in range(common["num_hidden_layers"]):
    for hf, ours in (("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm"), ("self_attn.v_proj", "attention.wv"), ("self_attn.o_proj", "attention.wo"),
                     ("mlp.gate_proj", "feed_forward.w1"), ("mlp.up_proj", "feed_forward.w3"), ("mlp.down_proj", "feed_forward.w2")):
        meta[f"layers.{i}.{ours}.weight"] = tensors[f"model.layers.{i}.{hf}.weight"]
    meta[f"layers.{i}.attention.wq.weight"] = rows_to_meta(tensors[f"model.layers.{i}.self_attn.q_proj.weight"], 6)
    meta[f"layers.{i}.attention.wk.weight"] = rows_to_meta(tensors[f"model.layers.{i}.self_attn.k_proj.weight"], 2)
folder = os.path.join(here, "meta")
os.makedirs(folder, exist_ok=True)
torch.save(meta, os.path.join(folder, "consolidated.pth"))
json.dump({"dim": 48, "n_layers": 2, "n_heads": 6, "n_kv_heads": 2, "head_dim": 8, "vocab_size": 160, "multiple_of": 16, "ffn_dim_multiplier": 0.6, "norm_eps": 1e-5,
           "rope_theta": 10000.0, "max_seqlen": 128}, open(os.path.join(folder, "params.json"), "w"), indent=1)
print("mlp of params.json:", (int(0.6 * int(2 * 4 * 48 / 3)) + 15) // 16 * 16, "of 80")
