#!/usr/bin/env python3
"""Vectors for test/golden/heads: PyTorch's SGD and AdamW over the heads of probes, on given features.

    python3 scripts/reference/heads.py        (needs torch, safetensors)

linear.safetensors      DINOv2's linear classifiers: two learning rates, momentum 0.9, cosine to 0
attention.safetensors   AIM's attention probe (one query, k and v without bias, no projection of the output, linear classifier) behind
                        BatchNorm1d(affine=False, eps=1e-6) in evaluation, its statistics those of all features; AdamW, cosine to 0

features and labels of 20 batches, the weights a head starts from, the loss of each step (mean over the batch), and logits of the first batch
before the first step and after the last, and the gradients of the first step.
"""
import math, os
import torch
from safetensors.torch import save_file

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden/heads")
STEPS, WIDTH, CLASSES = 20, 24, 7


class AttentionProbe(torch.nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.heads = heads
        self.bn = torch.nn.BatchNorm1d(WIDTH, affine=False, eps=1e-6)
        self.query = torch.nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.k, self.v = (torch.nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.linear = torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        n, tokens, _ = x.shape
        x = self.bn(x.transpose(1, 2)).transpose(1, 2)
        split = lambda y: y.reshape(y.shape[0], -1, self.heads, WIDTH // self.heads).transpose(1, 2)
        q, k, v = split(self.query.expand(n, -1, -1)), split(self.k(x)), split(self.v(x))
        weights = (q * (WIDTH // self.heads) ** -0.5 @ k.transpose(-2, -1)).softmax(-1)
        return self.linear((weights @ v).transpose(1, 2).reshape(n, 1, WIDTH).mean(1))


def features(shape):
    """Columns of unlike means and deviations, and labels that have something to do with them."""
    x = torch.randn(*shape) * (0.2 + torch.rand(WIDTH)) + torch.randn(WIDTH)
    teacher = torch.randn(WIDTH, CLASSES)
    rows = x if x.ndim == 3 else x.mean(2)
    return x, (rows @ teacher + torch.randn(*rows.shape[:2], CLASSES)).argmax(-1)


def train(model, optimizer, x, labels):
    losses, gradients = [], {}
    peak = optimizer.param_groups[0]["lr"]
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[-1]["lr"] = peak * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        loss = torch.nn.functional.cross_entropy(model(x[step]), labels[step])
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses), gradients


def linear():
    torch.manual_seed(1)
    x, labels = features((STEPS, 16, WIDTH))
    start = torch.randn(CLASSES, WIDTH) * 0.01
    out = {"x": x, "labels": labels.float(), "weight": start.clone(), "rates": torch.tensor([0.02, 0.3])}
    for i, rate in enumerate(out["rates"].tolist()):
        model = torch.nn.Linear(WIDTH, CLASSES)
        model.weight.data.copy_(start)
        model.bias.data.zero_()
        out[f"losses.{i}"], _ = train(model, torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9), x, labels)
        out[f"logits.{i}"] = model(x[0]).detach()
        print("linear", rate, out[f"losses.{i}"][[0, -1]])
    save_file(out, os.path.join(here, "linear.safetensors"), {"torch": torch.__version__})


def attention():
    torch.manual_seed(2)
    x, labels = features((STEPS, 8, 10, WIDTH))
    model = AttentionProbe(heads=3)
    rows = x.reshape(-1, WIDTH).double()
    model.bn.running_mean.copy_(rows.mean(0))
    model.bn.running_var.copy_(rows.var(0, unbiased=False))
    model.eval()
    out = {"x": x, "labels": labels.float(), "mean": rows.mean(0).float(), "scale": (rows.var(0, unbiased=False) + 1e-6).rsqrt().float()}
    kv = lambda k, v: torch.cat([k, v])
    out.update({"query": model.query.detach().clone().flatten(), "kv": kv(model.k.weight, model.v.weight).detach().clone(),
                "weight": model.linear.weight.detach().clone(), "bias": model.linear.bias.detach().clone(), "before": model(x[0]).detach()})
    decayed = [model.k.weight, model.v.weight, model.linear.weight]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": [model.query, model.linear.bias], "weight_decay": 0}],
                                  lr=0.01, betas=(0.9, 0.999), eps=1e-8)
    out["losses"], g = train(model, optimizer, x, labels)
    out.update({"grad.query": g["query"].flatten(), "grad.kv": kv(g["k.weight"], g["v.weight"]), "grad.weight": g["linear.weight"],
                "grad.bias": g["linear.bias"], "after": model(x[0]).detach()})
    print("attention", out["losses"][[0, -1]])
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(here, "attention.safetensors"), {"torch": torch.__version__})


linear()
attention()
