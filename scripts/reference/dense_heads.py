#!/usr/bin/env python3
"""Vectors for test/golden/dense_heads: PyTorch's AdamW over heads that say something of every pixel, on given features.

    python3 scripts/reference/dense_heads.py        (needs torch, safetensors, transformers)

segment.safetensors   mmsegmentation's BNHead in training: BatchNorm2d, 1x1 convolution, bilinear to the crop (align_corners false), cross
                      entropy whose ignored pixels count in the mean (avg_non_ignore False); features are given behind the BatchNorm's statistics
depth.safetensors     DINOv2's linear depth head: cell | class token upsampled x4, 1x1 convolution to bins, depth from bins, bilinear to the
                      truth; SigLoss of each picture (2 steps of its warm-up), then the mean
dpt.safetensors       transformers' DPTNeck and DPTDepthEstimationHead (read-out "project", no batch norm and no biases in the residual units)
                      on one layer four times, from a grid of odd size, then the same loss
sigloss.safetensors   the figures of SigLoss on the reference page's four pixels

features and targets of the steps, the weights a head starts from, the loss of each step, gradients of the first, outputs before and after.
Matrices decay, vectors do not.
"""
import os
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden/dense_heads")
STEPS, PICTURES, STRIDE, CLASSES, BINS, LOW, HIGH, IGNORED = 5, 3, 4, 7, 16, 0.001, 10, 65535
flat = lambda x: x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])  # [n, c, h, w] -> pixels as rows
kernel = lambda w: w.permute(0, 2, 3, 1).reshape(w.shape[0], -1)  # columns in order (y, x, channel)
spread = lambda w: w.permute(2, 3, 1, 0).reshape(-1, w.shape[0])  # a transposed convolution whose kernel is its stride


def learn(out, named, forward, loss, rate, decay, beta2, steps=STEPS):
    """named: {our name: (parameter, how it is laid out here)}"""
    for name, (p, lay) in named.items():
        out[name] = lay(p.detach()).clone()
    groups = [{"params": [p for p, _ in named.values() if (p.ndim > 1) == matrix], "weight_decay": decay * matrix} for matrix in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, beta2), eps=1e-8)
    out["before"], losses = forward(0).detach(), []
    for step in range(steps):
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        if step == 0:
            out.update({f"grad.{n}": lay(p.grad).clone() for n, (p, lay) in named.items()})
        optimizer.step()
        losses.append(value.item())
    out["losses"], out["after"] = torch.tensor(losses), forward(0).detach()
    print(losses)


def save(name, out):
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(here, f"{name}.safetensors"), {"torch": torch.__version__})


def segment():
    torch.manual_seed(1)
    width, grid = 24, (4, 5)
    size = tuple(STRIDE * g for g in grid)
    x = torch.randn(STEPS, PICTURES, width, *grid) * (0.2 + torch.rand(width, 1, 1)) + torch.randn(width, 1, 1)
    truth = torch.randint(0, CLASSES, (STEPS, PICTURES, *size))
    truth[torch.rand(truth.shape) < 0.2] = IGNORED
    bn, conv = torch.nn.BatchNorm2d(width), torch.nn.Conv2d(width, CLASSES, 1)
    torch.nn.init.normal_(conv.weight, 0, 0.01)
    torch.nn.init.normal_(bn.weight, 1, 0.1)
    torch.nn.init.normal_(bn.bias, 0, 0.1)
    plain = torch.nn.BatchNorm2d(width, affine=False)
    out = {"x": torch.cat([flat(plain(x[i])) for i in range(STEPS)]), "targets": truth.float()}
    seen = lambda i: F.interpolate(conv(bn(x[i])), size=size, mode="bilinear", align_corners=False)
    same = lambda p: p
    named = {"norm_scale": (bn.weight, same), "norm_shift": (bn.bias, same), "weight": (conv.weight, lambda p: p.reshape(CLASSES, width)),
             "bias": (conv.bias, same)}
    learn(out, named, lambda i: flat(conv(bn(x[i]))),
          lambda i: F.cross_entropy(seen(i), truth[i], ignore_index=IGNORED, reduction="none").mean(), 1e-2, 1e-2, 0.999)
    save("segment", out)


def sigloss(depth, truth, warm):
    valid = (truth > 0) & (truth < HIGH)
    g = torch.log(depth[valid] + 0.001) - torch.log(truth[valid] + 0.001)
    return torch.sqrt(0.15 * g.mean() ** 2) if warm else torch.sqrt(torch.var(g) + 0.15 * g.mean() ** 2)


def depth_loss(depth, truth, warm):
    seen = F.interpolate(depth[:, None], size=truth.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    return sum(sigloss(p, t, warm) for p, t in zip(seen, truth)) / len(truth)


def truths(size):
    truth = torch.rand(STEPS, PICTURES, *size) * 11
    truth[torch.rand(truth.shape) < 0.1] = 0
    return truth


def depth():
    torch.manual_seed(2)
    width, grid = 12, (4, 5)
    tokens, truth = torch.randn(STEPS, PICTURES, 1 + grid[0] * grid[1], width), truths((STRIDE * grid[0], STRIDE * grid[1]))
    x = torch.cat([tokens[:, :, 1:], tokens[:, :, :1].expand(-1, -1, grid[0] * grid[1], -1)], -1)
    conv = torch.nn.Conv2d(2 * width, BINS, 1)
    torch.nn.init.normal_(conv.weight, 0, 0.3)

    def forward(i):
        cells = x[i].transpose(1, 2).reshape(PICTURES, 2 * width, *grid)
        w = torch.relu(conv(F.interpolate(cells, scale_factor=4, mode="bilinear", align_corners=False))) + 0.1
        return torch.einsum("nkhw,k->nhw", w / w.sum(1, keepdim=True), torch.linspace(LOW, HIGH, BINS))

    out = {"x": x.reshape(-1, 2 * width), "targets": truth}
    named = {"weight": (conv.weight, lambda p: p.reshape(BINS, -1)), "bias": (conv.bias, lambda p: p)}
    learn(out, named, lambda i: forward(i).reshape(-1, 1), lambda i: depth_loss(forward(i), truth[i], i < 2), 1e-2, 1e-2, 0.99)
    save("depth", out)


def dpt():
    from transformers import DPTConfig
    from transformers.models.dpt.modeling_dpt import DPTDepthEstimationHead, DPTNeck
    torch.manual_seed(3)
    width, grid, channels = 16, (3, 3), 8
    tokens, truth = torch.randn(STEPS, PICTURES, 1 + grid[0] * grid[1], width), truths((STRIDE * grid[0], STRIDE * grid[1]))
    x = torch.cat([tokens[:, :, 1:], tokens[:, :, :1].expand(-1, -1, grid[0] * grid[1], -1)], -1)
    config = DPTConfig(hidden_size=width, is_hybrid=False, readout_type="project", reassemble_factors=[4, 2, 1, 0.5], neck_hidden_sizes=[2, 4, 8, 16],
                       fusion_hidden_size=channels, use_batch_norm_in_fusion_residual=False, use_bias_in_fusion_residual=False, add_projection=False)
    neck, head = DPTNeck(config), DPTDepthEstimationHead(config)
    head.projection = torch.nn.Conv2d(channels, channels, 3, padding=1)  # transformers' has 256 channels whatever the configuration
    head.head[4].bias.data.fill_(1)

    def forward(i):
        return head(neck([tokens[i]] * 4, *grid)) + 0.001

    same, one, conv = lambda p: p, lambda p: p.reshape(p.shape[0], -1), kernel
    named = {}
    pair = lambda name, m, lay: named.update({f"{name}_weight": (m.weight, lay), f"{name}_bias": (m.bias, same)})
    stage = neck.reassemble_stage
    for i in range(4):
        pair(f"project{i}", stage.readout_projects[i][0], same)
        pair(f"reassemble{i}", stage.layers[i].projection, one)
        if i != 2:
            pair(f"rescale{i}", stage.layers[i].resize, spread if i < 2 else conv)
        named[f"level{i}_weight"] = (neck.convs[i].weight, conv)
        fusion = neck.fusion_stage.layers[3 - i]
        for unit, layer in enumerate((fusion.residual_layer1, fusion.residual_layer2)):
            if i < 3 or unit:
                named[f"fusion{i}_unit{unit}_0_weight"] = (layer.convolution1.weight, conv)
                named[f"fusion{i}_unit{unit}_1_weight"] = (layer.convolution2.weight, conv)
        pair(f"fusion{i}_project", fusion.projection, one)
    for name, m, lay in (("project", head.projection, conv), ("half", head.head[0], conv), ("narrow", head.head[2], conv), ("out", head.head[4], one)):
        pair(f"head_{name}", m, lay)
    out = {"x": x.reshape(-1, 2 * width), "targets": truth}
    learn(out, named, lambda i: forward(i).reshape(-1, 1), lambda i: depth_loss(forward(i), truth[i], i < 2), 1e-3, 1e-2, 0.999)
    save("dpt", out)


def page():
    truth, found = torch.tensor([1, 2, 4, 8.0]), torch.tensor([1.2, 1.9, 6, 7])
    save("sigloss", {"truth": truth, "found": found, "loss": torch.stack([sigloss(found, truth, False), sigloss(found, truth, True)])})


segment(), depth(), dpt(), page()
