#!/usr/bin/env python3
"""Golden figures of dense predictions: scripts/reference/dense.py test/golden/dense   (needs the packages below; trackeval with --no-deps)

numpy, Pillow, scipy, scikit-image, opencv-python-headless, pycocotools, trackeval 1.3.0 (J and F), torch (bilinear resizing),
scikit-learn (confusion matrix, accuracies), clip-benchmark 1.6.2 (recalls).  Inputs are drawn from a fixed seed; what is expected is
one file, expected.json.  Cases called page-* are those of the reference pages: their figures stand in test/unit/dense.c.
"""
import json, os, sys
import numpy as np
import torch
from PIL import Image
from pycocotools import mask as rle
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, top_k_accuracy_score
from trackeval.metrics.j_and_f import JAndF
from clip_benchmark.metrics.zeroshot_retrieval import recall_at_k

root = sys.argv[1]
rng = np.random.default_rng(5)
expected = {}

def path_of(*parts):
    path = os.path.join(root, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path

def write_png(array, *parts, palette=False):
    image = Image.fromarray(array)
    if palette:
        image.putpalette([c for i in range(256) for c in (i * 37 % 256, i * 91 % 256, i)])
    image.save(path_of(*parts))

def write_lines(values, *parts):
    with open(path_of(*parts), "w") as out:
        out.writelines(f"{v}\n" for v in values)

def numbers(figures):
    return {k: float(v) for k, v in figures.items()}

# --- davis: 2 of 3 sequences are in the list ---

def blobs(shape, centres, radius):
    y, x = np.mgrid[: shape[0], : shape[1]]
    out = np.zeros(shape, "uint8")
    for i, (cy, cx) in enumerate(centres):
        out[(y - cy) ** 2 + ((x - cx) * 0.7) ** 2 < radius[i] ** 2] = i + 1
    return out

def sequence(name, shape, frames, objects, missing=()):
    centres = rng.uniform(8, np.array(shape) - 8, (objects, 2))
    speed = rng.uniform(-2, 2, (objects, 2))
    radius = rng.uniform(5, 11, objects)
    truth, predicted = [], []
    for t in range(frames):
        truth.append(blobs(shape, centres + t * speed, radius))
        guess = blobs(shape, centres + t * speed + rng.normal(0, 0.4 * t, (objects, 2)), radius * rng.uniform(0.8, 1.1))
        for i in missing:
            guess[guess == i] = 0
        predicted.append(guess)
    truth[1][:3, :9] = 255
    truth[2][truth[2] == 1] = 0  # out of the picture for a while
    predicted[3][:] = 0
    for t in range(frames):
        write_png(truth[t], "davis", "truth", "Annotations", "480p", name, f"{t:05d}.png", palette=True)
        if 0 < t < frames - 1:
            write_png(predicted[t], "davis", "predictions", name, f"{t:05d}.png", palette=True)
    return truth, predicted, objects

def statistics(values):
    """As davis2017-evaluation has it: mean, recall, decay."""
    ids = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(int)
    quarters = [values[ids[i] : ids[i + 1] + 1] for i in range(4)]
    return values.mean(), (values > 0.5).mean(), quarters[0].mean() - quarters[3].mean()

def measure(truth, predicted, i):
    encode = lambda label: rle.encode(np.asfortranarray((label == i).astype("uint8")))
    frames = [([encode(t)], [encode(p)]) for t, p in zip(truth[1:-1], predicted[1:-1])]
    gt, guess = [f[0] for f in frames], [f[1] for f in frames]
    return JAndF._compute_j(gt, guess, 1, 1, len(frames))[0, 0], JAndF._compute_f(gt, guess, 0, 0, 0.008)

def davis():
    sequences = {"walk": sequence("walk", (60, 90), 7, 2, missing=[2]), "dance-twirl": sequence("dance-twirl", (48, 64), 12, 3)}
    sequence("not-in-the-list", (20, 30), 5, 1)
    write_lines(sequences, "davis", "truth", "ImageSets", "2017", "val.txt")
    rows = []
    for truth, predicted, objects in sequences.values():
        for i in range(1, objects + 1):
            j, f = measure(truth, predicted, i)
            rows.append([*statistics(j), *statistics(f)])
    jm, jr, jd, fm, fr, fd = np.mean(rows, 0)
    expected["davis"] = numbers({"J&F-Mean": (jm + fm) / 2, "J-Mean": jm, "J-Recall": jr, "J-Decay": jd, "F-Mean": fm, "F-Recall": fr, "F-Decay": fd,
                                 "stderr": np.std([(r[0] + r[3]) / 2 for r in rows], ddof=1) / len(rows) ** 0.5,
                                 "samples": len(rows), "sequences": 2, "frames": 15})

# --- miou ---

def miou_figures(pairs, classes):
    """pairs of (class or -1, class or -1): of all pixels together."""
    truth, guess = (np.concatenate([p[k].ravel() for p in pairs]) for k in (0, 1))
    truth, guess = truth[truth >= 0], guess[truth >= 0]
    m = confusion_matrix(truth, guess, labels=[-1, *range(classes)])[1:]
    common, of_truth, of_guess = np.diag(m[:, 1:]), m.sum(1), m[:, 1:].sum(0)
    with np.errstate(invalid="ignore"):
        iou, accuracy = common / (of_truth + of_guess - common), common / of_truth
    return numbers({"mIoU": np.nanmean(iou), "aAcc": common.sum() / of_truth.sum(), "mAcc": np.nanmean(accuracy), "pixels": of_truth.sum()})

def miou():
    classes, pairs, reduced = 12, [], []
    for n, (h, w) in enumerate([(20, 31), (33, 17), (24, 24)]):
        truth = np.kron(rng.integers(0, 10, (h, w)), np.ones((3, 3), int))
        guess = np.where(rng.random(truth.shape) < 0.7, truth, rng.integers(0, 11, truth.shape))
        truth[rng.random(truth.shape) < 0.1] = 255
        guess[rng.random(truth.shape) < 0.02] = 255
        folder = ["", "a", "a"][n]
        write_png(truth.astype("uint8"), "miou", "truth", folder, f"{n}.png")
        write_png(guess.astype("uint8"), "miou", "predictions", folder, f"{n}.png", palette=n == 1)
        pairs.append((np.where(truth == 255, -1, truth), np.where(guess == 255, -1, guess)))
        # --miou-reduce-zero-label --miou-first 1: both 0 and 255 are nothing, the rest one less
        reduced.append([np.where((a == 255) | (a == 0), -1, a - 1) for a in (truth, guess)])
    expected["miou"] = miou_figures(pairs, classes)
    expected["miou-reduced"] = miou_figures(reduced, classes)
    write_png(np.array([[0, 1, 1, 2, 2, 2, 3, 255, 1, 0]], "uint8"), "page-miou", "truth", "x.png")
    write_png(np.array([[0, 0, 1, 1, 1, 2, 0, 1, 0, 2]], "uint8"), "page-miou", "predictions", "x.png")

# --- depth ---

def depth_figures(pairs, low=1e-3, high=10.0, crop=None):
    rows, squares = [], []
    for g, p in pairs:
        p = np.clip(p, low, high)
        valid = (g > low) & (g < high)
        if crop:
            inside = np.zeros_like(valid)
            inside[45:471, 41:601] = True
            valid &= inside
        g, p = g[valid], p[valid]
        ratio, d = np.maximum(p / g, g / p), np.log(p) - np.log(g)
        rows.append([*((ratio < 1.25**k).mean() for k in (1, 2, 3)), (abs(p - g) / g).mean(), ((p - g) ** 2 / g).mean(), ((p - g) ** 2).mean() ** 0.5,
                     (d**2).mean() ** 0.5, abs(np.log10(p) - np.log10(g)).mean(), 100 * ((d**2).mean() - d.mean() ** 2) ** 0.5])
        squares.append((p - g) ** 2)
    keys = ["a1", "a2", "a3", "abs_rel", "sq_rel", "rmse", "rmse_log", "log_10", "silog"]
    squares = np.concatenate(squares)
    return numbers({**dict(zip(keys, np.mean(rows, 0))), "rmse_pooled": squares.mean() ** 0.5, "pixels": squares.size})

def resize(p, shape):
    return torch.nn.functional.interpolate(torch.from_numpy(p)[None, None], size=shape, mode="bilinear", align_corners=False)[0, 0].numpy()

def depth():
    pairs = []
    for n, (h, w) in enumerate([(21, 34), (16, 16), (30, 11)]):
        millimetres = rng.integers(500, 12000, (h, w)).astype("uint16")
        millimetres[rng.random((h, w)) < 0.1] = 0
        write_png(millimetres, "depth", "truth", f"{n}.png")
        g = millimetres / 1000
        noisy = np.maximum(g, 0.3) * rng.lognormal(0, 0.25, (h, w))
        if n == 0:  # as .png
            png = np.clip(noisy * 1000, 0, 65535).astype("uint16")
            write_png(png, "depth", "predictions", "0.png")
            p = png / 1000
        else:  # as .npy, the last one of another size, smaller in one direction and larger in the other
            small = (noisy if n == 1 else noisy[:23, :9].repeat(2, 1)).astype("float32")
            np.save(path_of("depth", "predictions", f"{n}.npy"), small if n == 1 else small[None])
            p = resize(small.astype("float64"), (h, w))
        pairs.append((g, p))
    expected["depth"] = depth_figures(pairs)
    expected["depth-range"] = depth_figures(pairs, 1.5, 6)
    millimetres = np.kron(rng.integers(0, 10500, (15, 20)), np.ones((32, 32), int)).astype("uint16")
    write_png(millimetres, "depth-eigen", "truth", "room.png")
    small = (millimetres[7::16, 7::16] / 1000 * rng.lognormal(0, 0.1, (30, 40))).astype("float32")
    np.save(path_of("depth-eigen", "predictions", "room.npy"), small)
    expected["depth-eigen"] = depth_figures([(millimetres / 1000, resize(small.astype("float64"), (480, 640)))], crop=True)
    write_png((np.array([[1, 2, 4, 8, 0.0005, 12]]) * 2000).astype("uint16"), "page-depth", "truth", "x.png")
    np.save(path_of("page-depth", "predictions", "x.npy"), np.array([[1.2, 1.9, 6, 7, 3, 3]], "float32"))

# --- classification, retrieval ---

def classification():
    n, classes = 60, 9
    labels = rng.integers(0, classes - 1, n)  # the last class is never there
    scores = rng.normal(0, 1, (n, classes)).astype("float32")
    scores[np.arange(n), labels] += 1
    write_lines(labels, "classification", "labels.txt")
    np.save(path_of("classification", "labels.npy"), labels)
    np.save(path_of("classification", "scores.npy"), scores)
    write_lines(scores.argmax(1), "classification", "predicted.txt")
    one, five = (top_k_accuracy_score(labels, scores, k=k, labels=range(classes)) for k in (1, 5))
    expected["classification"] = numbers({"acc1": one, "acc5": five, "mean_per_class_recall": balanced_accuracy_score(labels, scores.argmax(1))})

def retrieval():
    images, dim = 23, 8
    owner = np.concatenate([np.arange(images), rng.integers(0, images - 1, 30)])
    rng.shuffle(owner)
    unit = lambda x: (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")
    image = unit(rng.normal(0, 1, (images, dim)))
    text = unit(image[owner] + rng.normal(0, 0.35, (len(owner), dim)))
    np.save(path_of("retrieval", "features", "image.npy"), image)
    np.save(path_of("retrieval", "features", "text.npy"), text)
    scores = text.astype("float64") @ image.astype("float64").T
    np.save(path_of("retrieval", "scores", "scores.npy"), scores)
    write_lines(owner, "retrieval", "owner.txt")
    positive = torch.zeros(scores.shape, dtype=torch.bool)
    positive[torch.arange(len(owner)), torch.from_numpy(owner)] = True
    scores = torch.from_numpy(scores)
    figures = {}
    for k in (1, 5, 10):
        figures[f"image_retrieval_recall@{k}"] = (recall_at_k(scores, positive, k) > 0).double().mean()
        figures[f"text_retrieval_recall@{k}"] = (recall_at_k(scores.T, positive.T, k) > 0).double().mean()
    expected["retrieval"] = numbers(figures)

davis()
miou()
depth()
classification()
retrieval()
with open(path_of("expected.json"), "w") as out:
    json.dump(expected, out, indent=1)
    out.write("\n")
