#!/usr/bin/env python3
"""Golden vectors of PE core: timm's vision tower and open_clip's text tower at tiny size with random weights.

    scripts/reference/core.py test/golden/core        (needs torch, timm, open_clip_torch, safetensors)

Writes, for each NAME.json there, NAME-weights.safetensors (open_clip naming) and NAME-vectors.safetensors: pixels (uint8 values as
float), ids, features of both towers, loss of open_clip's ClipLoss and its gradient by every parameter, all in float32.
"""
import glob, json, os, sys
import torch, timm, open_clip
from open_clip.loss import ClipLoss
from open_clip.transformer import TextTransformer
from safetensors.torch import save_file

def build(cfg):
    v, t = cfg["vision_cfg"], cfg["text_cfg"]
    grid = v["image_size"] // v["patch_size"]
    name = "vit_pe_core_small_patch16_384" if v["class_token"] else "vit_pe_core_gigantic_patch14_448"
    trunk = timm.create_model(name, pretrained=False, num_classes=cfg["embed_dim"], img_size=v["image_size"], patch_size=v["patch_size"],
                              embed_dim=v["width"], depth=v["layers"], num_heads=v["heads"], mlp_ratio=v["mlp_width"] / v["width"],
                              ref_feat_shape=(grid, grid))
    text = TextTransformer(context_length=t["context_length"], vocab_size=t["vocab_size"], width=t["width"], heads=t["heads"],
                           layers=t["layers"], output_dim=cfg["embed_dim"])
    return trunk, text

def main(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        cfg = json.load(open(path))
        torch.manual_seed(1)
        trunk, text = build(cfg)
        scale = torch.nn.Parameter(torch.tensor(2.6592600369327783))
        for p in list(trunk.parameters()) + list(text.parameters()):
            p.data.normal_(0, 0.15)
        for n, p in list(trunk.named_parameters()) + list(text.named_parameters()):
            if "norm" in n and n.endswith("weight") or n.startswith("ln_") and n.endswith("weight") or ".ln_" in n and n.endswith("weight"):
                p.data.add_(1)
        trunk.head.bias.data.zero_()
        trunk.head.bias.requires_grad_(False)
        v, t, n = cfg["vision_cfg"], cfg["text_cfg"], 6
        pixels = torch.randint(0, 256, (n, v["image_size"], v["image_size"], 3))
        ids = torch.zeros(n, t["context_length"], dtype=torch.long)
        for i in range(n):
            length = [2, 5, t["context_length"], 9, 3, 7][i]
            ids[i, :length] = torch.randint(1, t["vocab_size"] - 2, (length,))
            ids[i, 0], ids[i, length - 1] = t["vocab_size"] - 2, t["vocab_size"] - 1
        x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        image = torch.nn.functional.normalize(trunk(x), dim=-1)
        words = torch.nn.functional.normalize(text(ids), dim=-1)
        loss = ClipLoss()(image, words, scale.exp())
        loss.backward()
        weights, grads = {"logit_scale": scale.detach()}, {"logit_scale": scale.grad}
        for prefix, model in (("visual.trunk.", trunk), ("text.", text)):
            for k, p in model.state_dict().items():
                if k != "attn_mask":
                    weights[prefix + k] = p.contiguous()
            for k, p in model.named_parameters():
                if p.grad is not None:
                    grads[prefix + k] = p.grad.contiguous()
        stem = path[:-5]
        save_file(weights, stem + "-weights.safetensors", {"format": "pt"})
        vectors = {"pixels": pixels.float(), "ids": ids.float(), "image": image.detach(), "text": words.detach(), "loss": loss.detach()}
        vectors.update({"grad." + k: g for k, g in grads.items()})
        save_file({k: x.contiguous() for k, x in vectors.items()}, stem + "-vectors.safetensors",
                  {"torch": torch.__version__, "timm": timm.__version__, "open_clip": open_clip.__version__})
        print(path, float(loss))

main(sys.argv[1])
