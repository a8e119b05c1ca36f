#!/usr/bin/env python3
"""The peers of the neighbours benchmark: the 200 nearest of random unit rows for each query, on one process.   peer_knn.py ITEMS QUERIES DIM THREADS KIND
KIND: torch256 torch1024 (matmul and topk for so many queries at a time; DINOv2 takes 256) or sklearn (NearestNeighbors, brute force).  Prints seconds."""
import os, sys, time

items, queries, dim, threads = map(int, sys.argv[1:5])
kind = sys.argv[5]
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
import torch

torch.set_num_threads(threads)
x, y = (torch.nn.functional.normalize(torch.rand(n, dim) - 0.5, dim=1) for n in (items, queries))
start = time.perf_counter()
if kind == "sklearn":
    from sklearn.neighbors import NearestNeighbors

    NearestNeighbors(n_neighbors=200, metric="cosine", algorithm="brute").fit(x.numpy()).kneighbors(y.numpy())
else:
    batch = int(kind.removeprefix("torch"))
    for first in range(0, queries, batch):
        torch.mm(y[first : first + batch], x.T).topk(200, largest=True, sorted=True)
print(f"{time.perf_counter() - start:.2f}")
