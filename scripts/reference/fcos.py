"""Golden vectors for test/golden/fcos: torchvision's FCOS over Detectron2's simple feature pyramid, on given features.

    python3 scripts/reference/fcos.py        (needs torch, torchvision, safetensors)

train.safetensors    features of two pictures (320 pixels, patches of 16), boxes, weights; targets of every cell, the three losses, gradients, and the
                     loss of each of four steps of AdamW (no decay of vectors), all divided by the foreground cells of the batch
find.safetensors     the same features and weights in evaluation: boxes, scores and labels
cells14.safetensors  targets at 224 pixels with patches of 14, whose finest cells torchvision would round from 7 pixels to 8: here they are 7

Weights are stored as percept names and lays them out (common/nn/pyramid.h).
"""
import os
from collections import OrderedDict
import torch, torchvision
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from safetensors.torch import save_file

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden/fcos")
WIDTH, CHANNELS, CONVS, CLASSES, STEPS = 24, 32, 2, 5, 4
VERSIONS = {"torch": torch.__version__, "torchvision": torchvision.__version__}


class LayerNorm(nn.Module):
    """Over the channels of each pixel, as Detectron2's layers/batch_norm.py has it."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        x = torch.nn.functional.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return x.permute(0, 3, 1, 2)


class Pyramid(nn.Module):
    """SimpleFeaturePyramid with scale factors 2, 1, 1/2, then torchvision's LastLevelP6P7; looks at `features`, not at the pictures."""

    def __init__(self):
        super().__init__()
        self.out_channels = CHANNELS
        self.spread = nn.ConvTranspose2d(WIDTH, WIDTH // 2, 2, 2)
        smooth = lambda width: nn.Sequential(nn.Conv2d(width, CHANNELS, 1, bias=False), LayerNorm(CHANNELS),
                                             nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1, bias=False), LayerNorm(CHANNELS))
        self.smooth = nn.ModuleList([smooth(WIDTH // 2), smooth(WIDTH), smooth(WIDTH)])
        self.p6, self.p7 = (nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1) for _ in range(2))

    def forward(self, _):
        x = self.features
        p3, p4, p5 = self.smooth[0](self.spread(x)), self.smooth[1](x), self.smooth[2](nn.functional.max_pool2d(x, 2))
        p6 = self.p6(p5)
        return OrderedDict(zip("34567", [p3, p4, p5, p6, self.p7(p6.relu())]))


def fcos(size, patch, **options):
    strides = [patch // 2 << i for i in range(5)]
    backbone = Pyramid()
    anchors = AnchorGenerator(tuple((s,) for s in strides), ((1.0,),) * 5)
    anchors.cell_anchors = [torch.tensor([[-s, -s, s, s]]) / 2 for s in strides]
    head = FCOSHead(CHANNELS, 1, CLASSES, CONVS)
    return FCOS(backbone, CLASSES, anchor_generator=anchors, head=head, min_size=size, max_size=size, fixed_size=(size, size), image_mean=[0, 0, 0],
                image_std=[1, 1, 1], **options)


def draw(model):
    """Weights that say more than those a head begins with."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim > 1:
                p.normal_(0, p[0].numel() ** -0.5)
            elif name.endswith("bias"):
                p.normal_(0, 0.2)
            else:
                p.uniform_(0.5, 1.5)
        model.head.classification_head.cls_logits.bias.fill_(-2)


def matrix(w):
    return (w.permute(2, 3, 1, 0).reshape(-1, w.shape[0]) if w.shape[-1] == 2 else w.permute(0, 2, 3, 1).reshape(w.shape[0], -1)).contiguous()


def ours(model, of):
    """Percept's names -> of(parameter), laid out as there."""
    b, c, r = model.backbone, model.head.classification_head, model.head.regression_head
    out = {"p3_spread_weight": b.spread.weight, "p3_spread_bias": b.spread.bias}
    for i, s in enumerate(b.smooth):
        out.update({f"p{i + 3}_in_weight": s[0].weight, f"p{i + 3}_in_scale": s[1].weight, f"p{i + 3}_in_shift": s[1].bias,
                    f"p{i + 3}_out_weight": s[2].weight, f"p{i + 3}_out_scale": s[3].weight, f"p{i + 3}_out_shift": s[3].bias})
    out.update({"p6_weight": b.p6.weight, "p6_bias": b.p6.bias, "p7_weight": b.p7.weight, "p7_bias": b.p7.bias})
    for name, tower in (("classes", c.conv), ("boxes", r.conv)):
        for i in range(CONVS):
            out.update({f"{name}_{i}_weight": tower[3 * i].weight, f"{name}_{i}_bias": tower[3 * i].bias,
                        f"{name}_{i}_scale": tower[3 * i + 1].weight, f"{name}_{i}_shift": tower[3 * i + 1].bias})
    for name, last in (("classes", c.cls_logits), ("boxes", r.bbox_reg), ("centre", r.bbox_ctrness)):
        out.update({f"{name}_weight": last.weight, f"{name}_bias": last.bias})
    return {k: (matrix(of(p)) if p.ndim > 1 else of(p)).detach().clone() for k, p in out.items()}


def boxes(size, count):
    """Of all sizes, some at whole pixels, two of one area, one inside another, some at edges."""
    centre, sides = torch.rand(count, 2) * size, size * 2 ** -(torch.rand(count, 2) * 5 + 0.3)
    b = torch.cat([centre - sides / 2, centre + sides / 2], 1).clamp(0, size)
    b[::3] = b[::3].round()
    b[1] = b[0] + torch.tensor([3.0, 2.0, 3.0, 2.0])
    b[2] = torch.tensor([0.0, 0.0, size, size])
    return b[((b[:, 2:] - b[:, :2]) > 1).all(1)]


def matched(model, targets, size):
    """Which box each cell is to find, from the model's own matching."""
    kept, inner = [], model.head.compute_loss
    model.head.compute_loss = lambda t, o, a, m: kept.extend(m) or inner(t, o, a, m)
    losses = model.train()(list(torch.zeros(len(targets), 3, size, size)), targets)
    model.head.compute_loss = inner
    return losses, kept


def put_targets(out, targets, kept):
    for n, (t, m) in enumerate(zip(targets, kept)):
        out[f"boxes.{n}"], out[f"labels.{n}"], out[f"matched.{n}"] = t["boxes"], t["labels"].float(), m.float()


def train(model, features, targets):
    out = ours(model, lambda p: p.data)
    out["x"] = features.permute(0, 2, 3, 1).reshape(-1, WIDTH).contiguous()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0}], lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for step in range(STEPS):
        parts, kept = matched(model, targets, 320)
        total = sum(parts.values())
        optimizer.zero_grad()
        total.backward()
        if step == 0:
            put_targets(out, targets, kept)
            out["parts"] = torch.stack([parts[k] for k in ("classification", "bbox_regression", "bbox_ctrness")]).detach()
            out.update({f"grad.{k}": v for k, v in ours(model, lambda p: p.grad).items()})
        optimizer.step()
        losses.append(total.item())
    out["losses"] = torch.tensor(losses)
    print("train", out["parts"], out["losses"], [int((m >= 0).sum()) for m in kept])
    save_file(out, os.path.join(here, "train.safetensors"), VERSIONS)


def find(model):
    out = {}
    with torch.no_grad():
        found = model.eval()(list(torch.zeros(2, 3, 320, 320)))
    for n, f in enumerate(found):
        out[f"boxes.{n}"], out[f"scores.{n}"], out[f"labels.{n}"] = f["boxes"], f["scores"], f["labels"].float()
        print("find", len(f["scores"]), f["scores"][[0, -1]], f["labels"].unique())
    save_file(out, os.path.join(here, "find.safetensors"), VERSIONS)


def cells14():
    torch.manual_seed(5)
    model, out = fcos(224, 14), {}
    model.backbone.features = torch.randn(3, WIDTH, 16, 16)
    targets = [{"boxes": b, "labels": torch.randint(0, CLASSES, (len(b),))} for b in (boxes(224, 12), boxes(224, 30), boxes(224, 5))]
    _, kept = matched(model, targets, 224)
    put_targets(out, targets, kept)
    print("cells14", [int((m >= 0).sum()) for m in kept], len(kept[0]))
    save_file(out, os.path.join(here, "cells14.safetensors"), VERSIONS)


os.makedirs(here, exist_ok=True)
torch.manual_seed(3)
model = fcos(320, 16, score_thresh=0.05, nms_thresh=0.6, topk_candidates=200, detections_per_img=60)
draw(model)
model.backbone.features = torch.randn(2, WIDTH, 20, 20)
targets = [{"boxes": b, "labels": torch.randint(0, CLASSES, (len(b),))} for b in (boxes(320, 14), boxes(320, 3))]
find(model)
train(model, model.backbone.features, targets)
cells14()
