#!/usr/bin/env python3
"""The peer of the contrastive benchmark: open_clip's ClipLoss on one process, full matrix.   peer_contrastive.py N DIM THREADS
Prints seconds and extra peak bytes (beyond features and their gradients)."""
import resource, sys, time
import torch

n, dim, threads = map(int, sys.argv[1:4])
torch.set_num_threads(threads)
from open_clip.loss import ClipLoss
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
x = [torch.nn.functional.normalize(torch.randn(n, dim), dim=-1).requires_grad_() for _ in range(2)]
for t in x:
    t.grad = torch.zeros(n, dim)
before = peak()
start = time.perf_counter()
loss = ClipLoss()(x[0], x[1], torch.tensor(14.3))
loss.backward()
print(time.perf_counter() - start, peak() - before, float(loss.detach()))
