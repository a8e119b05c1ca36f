#!/usr/bin/env python3
"""Does open_clip load what pe-evaluator export writes, and embed the same?

    scripts/reference/open_clip_loads.py MODEL SIZE     e.g. PE-Core-S16-384 384      (needs torch, open_clip_torch, timm; programs built)

Makes random weights of the true shape in open_clip, embeds pictures and texts with both, exports with pe-evaluator, loads the export as
local-dir: and compares every tensor.  Prints the largest relative differences.
"""
import os, subprocess, sys, tempfile
import numpy as np, torch, open_clip
from PIL import Image
from safetensors.torch import save_file

model_name, size = sys.argv[1], int(sys.argv[2])
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
theirs = {"PE-Core-G14-448": "PE-Core-bigG-14-448", "PE-Core-L14-336": "PE-Core-L-14-336", "PE-Core-B16-224": "PE-Core-B-16",
          "PE-Core-S16-384": "PE-Core-S-16-384", "PE-Core-T16-384": "PE-Core-T-16-384"}[model_name]
torch.manual_seed(0)
model, _, preprocess = open_clip.create_model_and_transforms(theirs, image_resize_mode="squash", image_interpolation="bilinear", image_mean=(.5,) * 3, image_std=(.5,) * 3)
model.eval()
for n, p in model.named_parameters():  # make all parts matter
    p.data += torch.randn_like(p) * 0.02
    if n == "visual.trunk.head.bias":
        p.data.zero_()
with tempfile.TemporaryDirectory() as tmp:
    weights = os.path.join(tmp, "w.safetensors")
    save_file({k: v.contiguous() for k, v in model.state_dict().items() if k != "text.attn_mask"}, weights, {"format": "pt"})
    pictures, rng = os.path.join(tmp, "pictures"), np.random.default_rng(0)
    os.mkdir(pictures)
    names = [f"{i}.png" for i in range(4)]
    for name in names:
        Image.fromarray((rng.random((90, 120, 3)) * 255).astype("uint8")).resize((600, 450)).save(os.path.join(pictures, name))
    texts = ["a photo of a cat", "two dogs & a bird", "x", "the quick brown fox jumps over the lazy dog " * 5]
    open(os.path.join(tmp, "texts.txt"), "w").write("\n".join(texts) + "\n")

    def run(*args):
        subprocess.run([os.path.join(root, "build/pe-evaluator"), *args, "--weights", weights, "--model", model_name], check=True, stderr=subprocess.DEVNULL)

    run("embed", "--images", pictures, "--output", os.path.join(tmp, "i.npy"))
    run("embed", "--texts", os.path.join(tmp, "texts.txt"), "--output", os.path.join(tmp, "t.npy"))
    run("export", "--output", os.path.join(tmp, "out"))
    with torch.no_grad():
        image = model.encode_image(torch.stack([preprocess(Image.open(os.path.join(pictures, n))) for n in names]), normalize=True).numpy()
        text = model.encode_text(open_clip.get_tokenizer(theirs)(texts), normalize=True).numpy()
    for what, ours, want in (("image", "i.npy", image), ("text", "t.npy", text)):
        got = np.load(os.path.join(tmp, ours))
        print(f"{what} features: relative difference {np.abs(got - want).max() / np.abs(want).max():.2g}")
    again = open_clip.create_model(f"local-dir:{tmp}/out")
    same = all(torch.equal(a, dict(again.state_dict())[k]) for k, a in model.state_dict().items())
    print("open_clip loads the export:", "every tensor is equal" if same else "DIFFERENT")
