#!/usr/bin/env python3
"""import torch, open_clip, and the first training step of a tiny model: prints nothing, the caller takes the time.   peer_start.py THREADS"""
import sys
import torch
import open_clip
from open_clip.loss import ClipLoss
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

torch.set_num_threads(int(sys.argv[1]))
model = CLIP(32, CLIPVisionCfg(layers=2, width=64, head_width=16, patch_size=8, image_size=32), CLIPTextCfg(context_length=16, width=64, heads=4, layers=2))
i, t, s = model(torch.randn(16, 3, 32, 32), torch.randint(0, 49000, (16, 16)))
loss = ClipLoss()(i, t, s)
loss.backward()
torch.optim.AdamW(model.parameters(), lr=1e-4).step()
