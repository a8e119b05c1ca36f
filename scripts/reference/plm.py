#!/usr/bin/env python3
"""Vectors for test/golden/plm: transformers' PerceptionLM at tiny size with random weights.

    python3 scripts/reference/plm.py        (needs torch, transformers, timm, safetensors)

model/   config.json, model.safetensors as transformers saves them;  vectors.safetensors: pixels of two tiles (bytes), ids (the image token where a row is put
in), logits, loss of the tokens from `response` on (mean), gradients
meta/    params.json, consolidated.pth: the same weights under Meta's names and in its row order
tiles.txt  WIDTH HEIGHT MOST ACROSS DOWN: the canvas that the image processor chooses
"""
import json, os, random
import torch
from safetensors.torch import save_file
from transformers import PerceptionLMConfig, PerceptionLMForConditionalGeneration
from transformers.models.perception_lm.image_processing_perception_lm import PerceptionLMImageProcessor

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden/plm")
os.makedirs(os.path.join(here, "model"), exist_ok=True)
os.makedirs(os.path.join(here, "meta"), exist_ok=True)
torch.manual_seed(5)
IMAGE, TILES, SIZE = 150, 2, 32
text = dict(model_type="llama", vocab_size=160, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, head_dim=8,
            rms_norm_eps=1e-5, max_position_embeddings=128, tie_word_embeddings=True,
            rope_parameters=dict(rope_theta=500000.0, rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64))
vision = dict(model_type="timm_wrapper", architecture="vit_pe_core_large_patch14_336", do_pooling=False,
              model_args=dict(img_size=[SIZE, SIZE], patch_size=8, embed_dim=64, depth=2, num_heads=4, mlp_ratio=2.0, init_values=0.1, ref_feat_shape=[4, 4],
                              global_pool="", use_post_transformer_norm=False))
config = PerceptionLMConfig(text_config=text, vision_config=vision, vision_use_cls_token=True, projector_pooling_ratio=2, image_token_id=IMAGE, video_token_id=151,
                            tie_word_embeddings=True)
model = PerceptionLMForConditionalGeneration(config).float().eval()
with torch.no_grad():
    for key, p in model.named_parameters():
        p.copy_(torch.randn_like(p) * (0.2 if p.ndim > 1 else 0.1) + (1 if "norm" in key and key.endswith("weight") else 0))
        if "gamma" in key:
            p.copy_(0.1 + 0.05 * torch.randn_like(p))
state = {k: v.detach().clone() for k, v in model.named_parameters()}
save_file(state, os.path.join(here, "model/model.safetensors"), metadata={"format": "pt"})
saved = config.to_dict()
json.dump({k: saved[k] for k in ("architectures", "model_type", "text_config", "vision_config", "vision_use_cls_token", "projector_pooling_ratio", "image_token_id",
                                 "video_token_id", "tie_word_embeddings")}, open(os.path.join(here, "model/config.json"), "w"), indent=1, default=str)

pixels = torch.randint(0, 256, (TILES, SIZE, SIZE, 3))
rows = TILES * 4
ids = torch.cat([torch.randint(0, 140, (5,)), torch.full((rows,), IMAGE), torch.randint(0, 140, (17,))])
response = len(ids) - 9
out = model(input_ids=ids[None], pixel_values=(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)[None], attention_mask=torch.ones(1, len(ids), dtype=torch.long))
loss = torch.nn.functional.cross_entropy(out.logits[0, response - 1 : -1], ids[response:])
loss.backward()
vectors = {"pixels": pixels.float(), "ids": ids.float(), "response": torch.tensor([float(response)]), "logits": out.logits[0].detach().clone(), "loss": loss.detach().reshape(1)}
for key, p in model.named_parameters():
    if p.grad is not None:
        vectors["grad." + key] = p.grad.clone()
save_file(vectors, os.path.join(here, "vectors.safetensors"))


def rows_to_meta(w, heads):
    dim = w.shape[0] // heads
    return w.view(heads, 2, dim // 2, w.shape[1]).transpose(1, 2).reshape(w.shape).contiguous()


meta = {}
for key, w in state.items():
    if key.startswith("model.language_model."):
        k = key[len("model.language_model."):]
        for a, b in (("self_attn.q_proj", "attention.wq"), ("self_attn.k_proj", "attention.wk"), ("self_attn.v_proj", "attention.wv"), ("self_attn.o_proj", "attention.wo"),
                     ("mlp.gate_proj", "feed_forward.w1"), ("mlp.up_proj", "feed_forward.w3"), ("mlp.down_proj", "feed_forward.w2"), ("input_layernorm", "attention_norm"),
                     ("post_attention_layernorm", "ffn_norm"), ("embed_tokens", "tok_embeddings")):
            k = k.replace(a, b)
        meta[k] = rows_to_meta(w, 6 if ".wq." in k else 2) if ".wq." in k or ".wk." in k else w
    elif key.startswith("model.multi_modal_projector."):
        meta["vision_projector.projector." + key[len("model.multi_modal_projector."):].replace("linear_1", "0").replace("linear_2", "2")] = w
    else:
        k = key[len("model.vision_tower.timm_model."):]
        if k.startswith("head") or k.startswith("attn_pool"):
            continue
        for a, b in (("patch_embed.proj.", "conv1."), ("cls_token", "class_embedding"), ("pos_embed", "positional_embedding"), ("norm_pre", "ln_pre"), ("blocks.", "transformer.resblocks."),
                     (".norm1.", ".ln_1."), (".norm2.", ".ln_2."), ("attn.qkv.", "attn.in_proj_"), ("attn.proj.", "attn.out_proj."), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
                     (".gamma_1", ".ls_1.gamma"), (".gamma_2", ".ls_2.gamma")):
            k = k.replace(a, b)
        meta["vision_model." + k] = w.reshape(-1) if k == "class_embedding" else w[0] if k == "positional_embedding" else w
torch.save({"model": meta}, os.path.join(here, "meta/consolidated.pth"))
json.dump({"model": {"dim": 48, "n_layers": 2, "n_heads": 6, "n_kv_heads": 2, "vocab_size": 160, "multiple_of": 16, "ffn_dim_multiplier": 0.6, "norm_eps": 1e-5, "rope_theta": 500000.0,
                     "use_scaled_rope": True, "rope_scale_factor": 32, "low_freq_factor": 1, "high_freq_factor": 4, "old_context_len": 64, "max_seqlen": 128, "weight_tying": True,
                     "pooling_ratio": 2,
                     "vision_model": {"image_size": SIZE, "patch_size": 8, "width": 64, "layers": 2, "heads": 4, "mlp_ratio": 2.0, "use_cls_token": True, "ls_init_value": 0.1}}},
          open(os.path.join(here, "meta/params.json"), "w"), indent=1)

rng = random.Random(1)
processor = PerceptionLMImageProcessor()
with open(os.path.join(here, "tiles.txt"), "w") as f:
    for _ in range(400):
        most = rng.choice([1, 2, 4, 7, 16, 36])
        processor.max_num_tiles = most
        w, h = (rng.randint(20, 3000), rng.randint(20, 3000)) if rng.random() < 0.7 else (448 * rng.randint(1, 6), 448 * rng.randint(1, 6))
        canvas = processor._fit_image_to_canvas(w, h, 448) or processor._find_closest_aspect_ratio(w, h, 448)
        print(w, h, most, *canvas, file=f)
print([k for k in state if "timm_model" in k and "blocks" not in k])
