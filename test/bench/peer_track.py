#!/usr/bin/env python3
"""The peer of the tracking benchmark: the arithmetic of DINO's eval_video_segmentation.py in torch, on features that are given.
peer_track.py FRAMES HEIGHT WIDTH COLS THREADS FILE    Prints seconds a frame, extra peak bytes (beyond the features) and a mean soft label, as track.c."""
import resource, sys, time
from collections import deque
import numpy as np, torch
import torch.nn.functional as F

frames, h, w, cols, threads = map(int, sys.argv[1:6])
torch.set_num_threads(threads)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
features = torch.from_numpy(np.fromfile(sys.argv[6], np.float32).reshape(frames, h * w, cols))
first = F.one_hot(torch.arange(h * w) % w * 5 // w, 5).float().T.reshape(5, h * w)
y, x = torch.arange(h * w) // w, torch.arange(h * w) % w
near = (((y[:, None] - y).abs() <= 12) & ((x[:, None] - x).abs() <= 12)).float()
before = peak()
start = time.perf_counter()
queue, mask = deque(), None
with torch.no_grad():
    for f in range(1, frames):
        context = [features[0]] + [q[0] for q in queue]
        maps = torch.stack([first] + [q[1] for q in queue])
        sources = F.normalize(torch.stack([c.T for c in context]), dim=1)
        target = F.normalize(features[f], dim=1)
        affinity = torch.exp(torch.bmm(target.unsqueeze(0).repeat(len(context), 1, 1), sources) / 0.1)
        if mask is None or mask.shape[0] != len(context):
            mask = near.unsqueeze(0).repeat(len(context), 1, 1)
        affinity *= mask
        affinity = affinity.transpose(2, 1).reshape(-1, h * w)
        least = torch.topk(affinity, dim=0, k=5)[0].min(dim=0)[0]
        affinity[affinity < least] = 0
        affinity = affinity / affinity.sum(dim=0, keepdim=True)
        soft = maps.transpose(2, 1).reshape(-1, 5).T @ affinity
        if len(queue) == 7:
            queue.popleft()
        queue.append((features[f], soft))
print((time.perf_counter() - start) / (frames - 1), peak() - before, float(soft[1].mean()))
