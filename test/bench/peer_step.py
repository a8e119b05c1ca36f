#!/usr/bin/env python3
"""The peer of the training step: PE-Core-S-16 of open_clip at 224 px, context 32, fp32, forward, loss, backward, fused optimizer step.

    peer_step.py DATA_FOLDER BATCH THREADS eager|compile STEPS     prints: samples/s (median of steps) and peak memory in bytes
"""
import glob, os, resource, statistics, sys, time
import torch

folder, batch, threads, mode, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
torch.set_num_threads(threads)
import open_clip
from open_clip.loss import ClipLoss

model = open_clip.create_model("PE-Core-S-16-384", force_image_size=224)
model.train()
tokenizer = open_clip.get_tokenizer("PE-Core-S-16-384")
texts = [open(p).read().strip() for p in sorted(glob.glob(os.path.join(folder, "*.txt")))[:batch]]
ids = tokenizer(texts)
images = torch.randn(batch, 3, 224, 224)
loss_fn = ClipLoss()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

def step():
    i, t, s = model(images, ids)
    loss = loss_fn(i, t, s)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()

if mode == "compile":
    model = torch.compile(model)
for _ in range(2):
    step()
times = []
for _ in range(steps):
    t = time.perf_counter()
    step()
    times.append(time.perf_counter() - t)
print(batch / statistics.median(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
