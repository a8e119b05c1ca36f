"""The same models in PyTorch on the same GPU: torch.compile, bfloat16, scaled_dot_product_attention, its fastest settings.

peer_gpu.py step MODEL.json BATCH [recompute]    samples/s of forward, loss, backward, LAMB (foreach); peak GiB
peer_gpu.py embed MODEL.json BATCH               images/s
peer_gpu.py parity MODEL.json WEIGHTS IMAGE.npy  largest difference of image features from random pixels (checks this file; on a CPU)
"""
import json, math, sys, time
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint


def rotate(x, cosine, sine):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cosine - b * sine, b * cosine + a * sine), -1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width**-0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x, rope, causal):
        b, n, w = x.shape
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).view(b, n, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        if rope is not None:
            q, k = rotate(q, *rope), rotate(k, *rope)
        y = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=causal)
        return self.out_proj(y.transpose(1, 2).reshape(b, n, w))


class MLP(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.attn, self.mlp = Attention(width, heads), MLP(width, hidden)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x, rope=None, causal=False):
        x = x + self.attn(self.ln_1(x), rope, causal)
        return x + self.mlp(self.ln_2(x))


class Blocks(nn.Module):
    def __init__(self, layers, width, heads, hidden):
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))

    def forward(self, x, rope, causal, recompute):
        for block in self.resblocks:
            x = checkpoint(block, x, rope, causal, use_reentrant=False) if recompute else block(x, rope, causal)
        return x


class Pool(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.probe = nn.Parameter(torch.randn(1, 1, width))
        self.attn, self.layernorm, self.mlp = Attention(width, heads), nn.LayerNorm(width), MLP(width, 4 * width)

    def forward(self, x):
        b, n, w = x.shape
        weight, bias = self.attn.in_proj_weight, self.attn.in_proj_bias
        q = F.linear(self.probe.expand(b, 1, w), weight[:w], bias[:w]).view(b, 1, self.heads, -1).transpose(1, 2)
        k, v = F.linear(x, weight[w:], bias[w:]).view(b, n, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = self.attn.out_proj(F.scaled_dot_product_attention(q.to(v.dtype), k, v).transpose(1, 2).reshape(b, 1, w))
        return (y + self.mlp(self.layernorm(y)))[:, 0]


class Vision(nn.Module):
    def __init__(self, c, dim):
        super().__init__()
        w, grid = c["width"], c["image_size"] // c["patch_size"]
        self.c, self.first = c, int(c["class_token"])
        self.conv1 = nn.Conv2d(3, w, c["patch_size"], c["patch_size"], bias=False)
        if self.first:
            self.class_embedding = nn.Parameter(torch.randn(w) * w**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(grid * grid + self.first, w) * w**-0.5)
        self.ln_pre, self.ln_post = nn.LayerNorm(w), nn.LayerNorm(w)
        self.transformer = Blocks(c["layers"], w, c["heads"], c["mlp_width"])
        self.attn_pool = Pool(w, c["pool_heads"])
        self.proj = nn.Parameter(torch.randn(w, dim) * w**-0.5)
        pairs = w // c["heads"] // 2
        at, axis = torch.arange(grid * grid), pairs // 2
        frequency = 10000.0 ** (-2 * torch.arange(axis) / (2 * axis))
        angle = torch.cat(((at % grid + self.first)[:, None] * frequency, (at // grid + self.first)[:, None] * frequency), 1)
        angle = torch.cat((torch.zeros(self.first, pairs), angle))
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)

    def forward(self, pixels, recompute=False):
        x = self.conv1(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).flatten(2).transpose(1, 2)
        if self.first:
            x = torch.cat((self.class_embedding.expand(len(x), 1, -1).to(x.dtype), x), 1)
        rope = (self.cosine, self.sine) if self.c["rope"] else None
        x = self.transformer(self.ln_pre(x + self.positional_embedding), rope, False, recompute)
        return F.normalize(self.attn_pool(self.ln_post(x)).float() @ self.proj.float(), dim=-1)


class CLIP(nn.Module):
    def __init__(self, c):
        super().__init__()
        t, dim = c["text_cfg"], c["embed_dim"]
        w = t["width"]
        self.visual = Vision(c["vision_cfg"], dim)
        self.token_embedding = nn.Embedding(t["vocab_size"], w)
        self.positional_embedding = nn.Parameter(torch.randn(t["context_length"], w) * 0.01)
        self.transformer = Blocks(t["layers"], w, t["heads"], 4 * w)
        self.ln_final = nn.LayerNorm(w)
        self.text_projection = nn.Parameter(torch.randn(w, dim) * w**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def text(self, ids, recompute=False):
        x = self.transformer(self.token_embedding(ids) + self.positional_embedding, None, True, recompute)
        x = self.ln_final(x[torch.arange(len(ids), device=ids.device), ids.argmax(1)])
        return F.normalize(x.float() @ self.text_projection.float(), dim=-1)

    def forward(self, pixels, ids, recompute=False):
        logits = self.logit_scale.exp() * self.visual(pixels, recompute) @ self.text(ids, recompute).t()
        labels = torch.arange(len(ids), device=ids.device)
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2


class LAMB:
    """Over lists of tensors at once."""

    def __init__(self, parameters, rate=1e-4):
        self.p, self.rate, self.step_count = list(parameters), rate, 0
        self.m, self.v = [torch.zeros_like(p) for p in self.p], [torch.zeros_like(p) for p in self.p]
        self.decay = [0.05 if p.ndim > 1 else 0.0 for p in self.p]

    @torch.no_grad()
    def step(self):
        g = [p.grad for p in self.p]
        self.step_count += 1
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(g)))
        torch._foreach_mul_(g, torch.clamp(1 / (norm + 1e-6), max=1.0))
        torch._foreach_lerp_(self.m, g, 0.1)
        torch._foreach_mul_(self.v, 0.95)
        torch._foreach_addcmul_(self.v, g, g, 0.05)
        bottom = torch._foreach_sqrt(torch._foreach_div(self.v, 1 - 0.95**self.step_count))
        torch._foreach_add_(bottom, 1e-6)
        u = torch._foreach_div(torch._foreach_div(self.m, 1 - 0.9**self.step_count), bottom)
        torch._foreach_add_(u, torch._foreach_mul(self.p, self.decay))
        ratio = torch._foreach_div(torch._foreach_norm(self.p), torch._foreach_norm(u))
        ratio = [r if d else torch.ones_like(r) for r, d in zip(ratio, self.decay)]
        torch._foreach_mul_(u, ratio)
        torch._foreach_add_(self.p, u, alpha=-self.rate)
        for p in self.p:
            p.grad = None


def timed(run, repeats=9):
    for _ in range(3):
        run()
    seconds = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[repeats // 2]


def main():
    what, config = sys.argv[1], json.load(open(sys.argv[2]))
    if what == "parity":
        import numpy as np
        from safetensors.torch import load_file
        model = CLIP(config).eval()
        model.load_state_dict(load_file(sys.argv[3]))
        with torch.no_grad():
            np.save(sys.argv[4], model.visual(torch.from_numpy(np.load(sys.argv[5]))).numpy())
        return
    batch, size, t = int(sys.argv[3]), config["vision_cfg"]["image_size"], config["text_cfg"]
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    with torch.device("cuda"):
        model = CLIP(config)
        pixels = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8).cpu().pin_memory()
        ids = torch.randint(1, t["vocab_size"] - 1, (batch, t["context_length"]))
        ids[:, 20:] = 0
        ids[:, 19] = t["vocab_size"] - 1
    if what == "embed":
        visual = torch.compile(model.visual.to(torch.bfloat16))

        @torch.no_grad()
        def run():
            for _ in range(4):
                with torch.autocast("cuda", torch.bfloat16):
                    visual(pixels.cuda(non_blocking=True))

        print(f"{4 * batch / timed(run):.1f}")
        return
    recompute = len(sys.argv) > 4
    optimizer, compiled = LAMB(model.parameters()), torch.compile(model)

    def run():
        with torch.autocast("cuda", torch.bfloat16):
            loss = compiled(pixels.cuda(non_blocking=True), ids, recompute)
        loss.backward()
        optimizer.step()

    print(f"{batch / timed(run):.1f} {torch.cuda.max_memory_allocated() / 2**30:.1f}")


main()
