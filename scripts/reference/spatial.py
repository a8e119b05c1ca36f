#!/usr/bin/env python3
"""Golden vectors of spatial alignment: losses and gradients of a student of timm's tower, by autograd.

    scripts/reference/spatial.py test/golden/spatial        (needs torch, timm, safetensors, numpy, Pillow)

Writes pictures/a/*.png with the things in them as maps/a/*.png, model.json and core.safetensors (timm naming, no
LayerScale), and for the cases
    plain     nothing hidden, L_core by the first of two layers, weights 1 and 1
    hidden    every patch hidden, L_core with the class token by the second layer, weights 0.5 and 2, sharpness 5
NAME.safetensors: the gradient of the mean loss by every parameter of a student whose LayerScale of 0.1 is made up for,
and core_loss, local_loss.  The teacher's rows are those of all points, +-10, each by itself.
"""
import json, os, sys
import numpy as np, torch, timm
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import normalize

SIZE, PATCH, WIDTH, LAYERS, HEADS, MLP, POINTS, PICTURES = 32, 8, 16, 2, 2, 32, 6, 2
CASES = {"plain": dict(layer=1, hide=False, token=False, weights=(1, 1), sharpness=20),
         "hidden": dict(layer=2, hide=True, token=True, weights=(.5, 2), sharpness=5)}


def tower(scale):
    grid = SIZE // PATCH
    more = {"init_values": scale} if scale else {}
    return timm.create_model("vit_pe_core_small_patch16_384", pretrained=False, num_classes=0, global_pool="", img_size=SIZE,
                             patch_size=PATCH, embed_dim=WIDTH, depth=LAYERS, num_heads=HEADS, mlp_ratio=MLP / WIDTH,
                             ref_feat_shape=(grid, grid), use_post_transformer_norm=False, **more)


def tokens(trunk, pixels, hide, layers):
    x = trunk.patch_embed(pixels)
    x, rope = trunk._pos_embed(x * 0 if hide else x)
    x = trunk.norm_pre(x)
    for block in trunk.blocks[:layers]:
        x = block(x, rope=rope)
    return x


def draw(rng):
    """Rectangles of one colour each over noise: the picture and which thing each pixel is."""
    picture, things = rng.integers(0, 90, (40, 48, 3)).astype(np.uint8), np.zeros((40, 48), np.uint8)
    for thing in range(1, 5):
        y, x, h, w = rng.integers(0, 30), rng.integers(0, 36), rng.integers(6, 20), rng.integers(6, 24)
        picture[y:y + h, x:x + w] = rng.integers(90, 255, 3)
        things[y:y + h, x:x + w] = thing
    return picture, things


def seen(things, count):
    at = lambda length: ((np.arange(count) + .5) * length / count).astype(int)
    return things[np.ix_(at(things.shape[0]), at(things.shape[1]))]


def rows(things):
    """[cells, points]: 10 where the cell's pixels lie in the thing of the point, -10 where not, on average."""
    grid = SIZE // PATCH
    pixels = seen(things, SIZE).reshape(grid, PATCH, grid, PATCH).transpose(0, 2, 1, 3).reshape(grid * grid, -1)
    points = seen(things, POINTS).ravel()
    return torch.tensor(20. * (pixels[:, :, None] == points).mean(1) - 10, dtype=torch.float64)


def losses(student, core, case, pixels, taught):
    own, frozen = tokens(student, pixels, case["hide"], LAYERS), tokens(core, pixels, False, case["layer"]).detach()
    first = 0 if case["token"] else 1
    core_loss = 1 - torch.cosine_similarity(own[:, first:], frozen[:, first:], dim=-1).mean()
    z, t = normalize(own[:, 1:], dim=-1), normalize(taught, dim=-1)
    target = torch.exp(case["sharpness"] * (t @ t.transpose(1, 2) - 1))
    return core_loss, ((z @ z.transpose(1, 2) - target) ** 2).mean()


def main(folder):
    rng, taught, pixels = np.random.default_rng(4), [], []
    for kind in "pictures", "maps":
        os.makedirs(f"{folder}/{kind}/a", exist_ok=True)
    for i in range(PICTURES):
        picture, things = draw(rng)
        Image.fromarray(picture).save(f"{folder}/pictures/a/{i}.png")
        Image.fromarray(things).save(f"{folder}/maps/a/{i}.png")
        taught.append(rows(things))
        pixels.append(np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.BILINEAR)))
    pixels = torch.tensor(np.stack(pixels)).permute(0, 3, 1, 2).double() / 127.5 - 1

    torch.manual_seed(2)
    core = tower(None).float()
    for name, p in core.named_parameters():
        p.data.normal_(0, .2).add_(1. if "norm" in name and name.endswith("weight") else 0.)
    save_file({k: p.detach().contiguous() for k, p in core.named_parameters()}, f"{folder}/core.safetensors")
    core = core.double()
    vision = dict(image_size=SIZE, patch_size=PATCH, width=WIDTH, layers=LAYERS, heads=HEADS, mlp_width=MLP, class_token=True,
                  rope=True, pool="none")
    with open(f"{folder}/model.json", "w") as out:
        json.dump({"vision_cfg": vision}, out, indent=2)
        out.write("\n")
    for name, case in CASES.items():
        student = tower(.1).double()
        student.load_state_dict(core.state_dict(), strict=False)
        for block in student.blocks:
            for p in (*block.attn.proj.parameters(), *block.mlp.fc2.parameters()):
                p.data.div_(.1)
        core_loss, local_loss = losses(student, core, case, pixels, torch.stack(taught))
        (case["weights"][0] * core_loss + case["weights"][1] * local_loss).backward()
        save_file({k: p.grad.float().contiguous() for k, p in student.named_parameters()}, f"{folder}/{name}.safetensors",
                  {"core_loss": repr(core_loss.item()), "local_loss": repr(local_loss.item()), "torch": torch.__version__,
                   "timm": timm.__version__})
        print(name, core_loss.item(), local_loss.item())


main(sys.argv[1])
