"""PyTorch beside test/bench/fcos.c: torchvision's FCOS over Detectron2's simple feature pyramid on the same shapes, fused AdamW.   peer_fcos.py THREADS STEPS [channels_last]
prints: seconds of a step (median), bytes of memory at most, loss of the first step"""
import resource, statistics, sys, time
from collections import OrderedDict
import torch
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

threads, steps, last = int(sys.argv[1]), int(sys.argv[2]), "channels_last" in sys.argv
torch.set_num_threads(threads)
torch.manual_seed(1)
PICTURES, GRID, PATCH, WIDTH, CHANNELS, BOXES = 8, 20, 16, 384, 256, 7
SIZE = GRID * PATCH


class LayerNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return nn.functional.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


class Pyramid(nn.Module):
    out_channels = CHANNELS

    def __init__(self):
        super().__init__()
        self.spread = nn.ConvTranspose2d(WIDTH, WIDTH // 2, 2, 2)
        smooth = lambda width: nn.Sequential(nn.Conv2d(width, CHANNELS, 1, bias=False), LayerNorm(CHANNELS),
                                             nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1, bias=False), LayerNorm(CHANNELS))
        self.smooth = nn.ModuleList([smooth(WIDTH // 2), smooth(WIDTH), smooth(WIDTH)])
        self.p6, self.p7 = (nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1) for _ in range(2))

    def forward(self, x):
        p3, p4, p5 = self.smooth[0](self.spread(x)), self.smooth[1](x), self.smooth[2](nn.functional.max_pool2d(x, 2))
        p6 = self.p6(p5)
        return OrderedDict(zip("34567", [p3, p4, p5, p6, self.p7(p6.relu())]))


model = FCOS(Pyramid(), 80, anchor_generator=AnchorGenerator(tuple((8 << i,) for i in range(5)), ((1.0,),) * 5))
features, images = torch.randn(PICTURES, WIDTH, GRID, GRID), ImageList(torch.empty(PICTURES, 1, SIZE, SIZE), [(SIZE, SIZE)] * PICTURES)
if last:
    model, features = model.to(memory_format=torch.channels_last), features.to(memory_format=torch.channels_last)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)
sides = SIZE / torch.randint(1, 13, (PICTURES, BOXES, 2))
corner = torch.rand(PICTURES, BOXES, 2) * (SIZE - sides)
boxes = torch.cat([corner, corner + sides], 2)
targets = [{"boxes": b, "labels": torch.randint(0, 80, (BOXES,))} for b in boxes]


def step():
    maps = list(model.backbone(features).values())
    outputs, anchors = model.head(maps), model.anchor_generator(images, maps)
    loss = sum(model.compute_loss(targets, outputs, anchors, [m.shape[2] * m.shape[3] for m in maps]).values())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


times, first = [], None
for _ in range(steps + 1):
    start = time.perf_counter()
    loss = step()
    first = loss if first is None else first
    times.append(time.perf_counter() - start)
print("%.3f %d %.3f" % (statistics.median(times[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, first))
