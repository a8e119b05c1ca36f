#!/usr/bin/env python3
"""The peer of the token-matrix benchmark: torch, whole matrices, eager.   peer_gram.py N DIM COLUMNS THREADS
Prints seconds (the second of two) and extra peak bytes (beyond tokens, teacher's rows and the gradient)."""
import resource, sys, time
import torch
from torch.nn.functional import normalize

n, dim, columns, threads = map(int, sys.argv[1:5])
torch.set_num_threads(threads)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
z, t = torch.rand(n, dim) - .5, torch.rand(n, columns) - .5
z.requires_grad_()
z.grad = torch.zeros(n, dim)
before = peak()
for _ in range(2):
    start = time.perf_counter()
    u = normalize(z, dim=-1)
    with torch.no_grad():
        v = normalize(t, dim=-1)
        target = torch.exp(20 * (v @ v.T - 1))
    loss = ((u @ u.T - target) ** 2).mean()
    loss.backward()
    seconds = time.perf_counter() - start
print(seconds, peak() - before, float(loss.detach()))
