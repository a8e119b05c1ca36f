"""PyTorch beside test/bench/dpt.c: transformers' DPT neck and head on the same shapes, the same loss, fused AdamW.   peer_dpt.py THREADS STEPS [channels_last]
prints: seconds of a step (median), bytes of memory at most"""
import resource, statistics, sys, time
import torch
from torch.nn import functional as F
from transformers import DPTConfig
from transformers.models.dpt.modeling_dpt import DPTDepthEstimationHead, DPTNeck

threads, steps, last = int(sys.argv[1]), int(sys.argv[2]), "channels_last" in sys.argv
torch.set_num_threads(threads)
torch.manual_seed(1)
PICTURES, GRID, STRIDE, COLUMNS = 4, 14, 16, 384
config = DPTConfig(hidden_size=COLUMNS, is_hybrid=False, readout_type="project", reassemble_factors=[4, 2, 1, 0.5], fusion_hidden_size=256,
                   neck_hidden_sizes=[COLUMNS // 8, COLUMNS // 4, COLUMNS // 2, COLUMNS], use_batch_norm_in_fusion_residual=False,
                   use_bias_in_fusion_residual=False, add_projection=True)
model = torch.nn.ModuleList([DPTNeck(config), DPTDepthEstimationHead(config)])
model[1].head[4].bias.data.fill_(1)
if last:
    model = model.to(memory_format=torch.channels_last)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
tokens, truth = torch.randn(PICTURES, 1 + GRID * GRID, COLUMNS), 0.5 + 8.5 * torch.rand(PICTURES, GRID * STRIDE, GRID * STRIDE)


def step():
    depth = model[1](model[0]([tokens] * 4, GRID, GRID)) + 0.001
    depth = F.interpolate(depth[:, None], size=truth.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    g = (torch.log(depth + 0.001) - torch.log(truth + 0.001)).flatten(1)
    loss = torch.sqrt(g.var(1) + 0.15 * g.mean(1) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


times = []
for _ in range(steps + 1):
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
print("%.3f %d" % (statistics.median(times[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
