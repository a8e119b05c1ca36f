#!/usr/bin/env python3
"""Golden vectors of label propagation: the arithmetic of DINO's eval_video_segmentation.py in torch, on random features.

    scripts/reference/track.py test/golden/track        (needs torch, numpy, pillow, safetensors)

Writes for each case NAME.safetensors: features [frames, cells, cols], soft [frames - 1, cells, labels] before upsampling, settings (grid height and
width, patch, memory, radius, top_k, temperature); and NAME.png: masks one below the other, the given one first.  Frame 4 repeats the features of
frame 3: similarities that are equal to the last bit.  Prints how near the closest decision of a pixel was.
"""
import os, sys
from collections import deque
import numpy as np, torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

CASES = {  # grid, cols, patch, size (height, width), frames, memory, radius, top_k, temperature
    "wide": ((9, 12), 16, 16, (145, 197), 10, 7, 12, 5, 0.1),
    "high": ((17, 8), 40, 14, (230, 101), 8, 2, 3, 4, 0.2),
    "long": ((5, 29), 24, 8, (40, 232), 6, 7, 6, 5, 0.1),
}

def first_mask(size):
    h, w = size
    y, x = np.mgrid[0:h, 0:w] / np.array([h, w]).reshape(2, 1, 1)
    mask = np.zeros(size, np.uint8)
    mask[(y - .3) ** 2 + (x - .25) ** 2 < .04] = 1
    mask[(abs(y - .6) < .25) & (abs(x - .6) < .15)] = 2
    mask[(y > .55) & (x > .8)] = 3
    return mask

def moving(frames, grid, cols):
    """A field of vectors that moves down and to the right, under noise."""
    h, w = grid
    field = torch.randn(h + frames, w + frames, cols)
    out = torch.stack([field[frames - f // 2: frames - f // 2 + h, frames - f: frames - f + w] for f in range(frames)])
    out = out.reshape(frames, h * w, cols) + 0.4 * torch.randn(frames, h * w, cols)
    out[4] = out[3]
    return out

def one_hot(mask, grid):
    small = np.array(Image.fromarray(mask).resize((grid[1], grid[0]), 0))
    return F.one_hot(torch.from_numpy(small).long(), int(mask.max()) + 1).permute(2, 0, 1).float()

def propagate(target, features, maps, near, top_k, temperature):
    sources = F.normalize(torch.stack([f.T for f in features]), dim=1)
    target = F.normalize(target, dim=1)
    affinity = torch.exp(torch.bmm(target.expand(len(features), -1, -1), sources) / temperature) * near
    affinity = affinity.transpose(2, 1).reshape(-1, target.shape[0])
    least = torch.topk(affinity, dim=0, k=top_k)[0].min(dim=0)[0]
    kept = int((affinity >= least).sum()) - top_k * target.shape[0]
    affinity[affinity < least] = 0
    affinity = affinity / affinity.sum(dim=0, keepdim=True)
    labels = torch.stack(maps).flatten(2).permute(1, 0, 2).reshape(maps[0].shape[0], -1)
    return (labels @ affinity).reshape(maps[0].shape), kept

def to_mask(soft, patch, size):
    big = F.interpolate(soft[None], scale_factor=patch, mode="bilinear", align_corners=False, recompute_scale_factor=False)[0]
    for c in range(big.shape[0]):
        if big[c].max() > 0:
            big[c] -= big[c].min()
            big[c] /= big[c].max()
    best = big.sort(dim=0, descending=True)[0]
    mask = Image.fromarray(big.argmax(dim=0).numpy().astype(np.uint8)).resize((size[1], size[0]), 0)
    return np.array(mask), best[0] - best[1]

def main(folder):
    torch.manual_seed(4)
    for name, (grid, cols, patch, size, frames, memory, radius, top_k, temperature) in CASES.items():
        h, w = grid
        features, mask = moving(frames, grid, cols), first_mask(size)
        y, x = torch.arange(h * w) // w, torch.arange(h * w) % w
        near = (((y[:, None] - y).abs() <= radius) & ((x[:, None] - x).abs() <= radius)).float()
        first, queue, softs, masks, ties, margin = one_hot(mask, grid), deque(), [], [mask], 0, 1.0
        for f in range(1, frames):
            soft, kept = propagate(features[f], [features[0]] + [q[0] for q in queue], [first] + [q[1] for q in queue], near, top_k, temperature)
            if len(queue) == memory:
                queue.popleft()
            queue.append((features[f], soft))
            result, gap = to_mask(soft, patch, size)
            ties, margin = ties + kept, min(margin, float(gap.min()))
            softs.append(soft.flatten(1).T)
            masks.append(result)
        settings = torch.tensor([h, w, patch, memory, radius, top_k, temperature], dtype=torch.float32)
        save_file({"features": features.contiguous(), "soft": torch.stack(softs).contiguous(), "settings": settings},
                  os.path.join(folder, name + ".safetensors"), {"torch": torch.__version__})
        image = Image.fromarray(np.concatenate(masks))
        image.putpalette([v for i in range(256) for v in (i * 60 % 256, i * 110 % 256, i * 170 % 256)])
        image.save(os.path.join(folder, name + ".png"))
        print(name, "objects", sorted(set(np.concatenate(masks).flatten())), "ties kept", ties, "closest decision", margin)

main(sys.argv[1])
