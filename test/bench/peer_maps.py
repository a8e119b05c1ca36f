"""PyTorch beside test/bench/maps.c: ms of forward, and of forward and backward.   peer_maps.py THREADS SECONDS plain|channels_last"""
import sys, time
import torch

threads, seconds, layout = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
torch.set_num_threads(threads)
torch.manual_seed(1)
layout = torch.channels_last if layout == "channels_last" else torch.contiguous_format
layer = torch.nn.Conv2d(256, 256, 3, padding=1).to(memory_format=layout)
maps = [torch.randn(8, 256, side, side).to(memory_format=layout).requires_grad_() for side in (40, 20, 10)]
slopes = [torch.randn(8, 256, side, side).to(memory_format=layout) for side in (40, 20, 10)]


def forward():
    with torch.no_grad():
        for x in maps: layer(x)


def both():
    for x, slope in zip(maps, slopes):
        layer(x).backward(slope)
        x.grad = None


def timed(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


times, start = [[], []], time.perf_counter()
while len(times[0]) < 3 or time.perf_counter() - start < seconds:
    times[0].append(timed(forward))
    times[1].append(timed(both))
print(*("%.2f" % (1e3 * sorted(t[1:])[len(t) // 2 - 1 if len(t) > 2 else 0]) for t in times))
