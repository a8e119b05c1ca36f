#!/usr/bin/env python3
"""test/golden/zeroshot/: figures of clip-benchmark 1.6.2's own metric code (PyPI, MIT) over random features and labels.

    python scripts/reference/zeroshot.py          (needs clip-benchmark==1.6.2 numpy<2.4 torch scikit-learn tqdm safetensors)

Its models are stood in for by look-ups: encode_image gives the features themselves, encode_text rows of a table.  The dual softmax is in PE's
fork alone; here it is written from its formula, then ranked by clip-benchmark's recall_at_k."""
import json
import pathlib
from types import SimpleNamespace

import numpy as np
import torch
from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "test/golden/zeroshot"
DIM, IMAGES, CLASSES, TEMPLATES, PER_IMAGE = 24, 301, 17, 3, 5
rng = np.random.default_rng(7)
vectors, expected = {}, {}


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def loader(pairs):
    class Loader(list):
        pass

    out = Loader(pairs)
    out.dataset = SimpleNamespace(classes=[str(i) for i in range(CLASSES)])
    return out


# Classification: texts of a class lie around it, pictures too; some classes have no picture, none is of class 3.
centres = rng.normal(size=(CLASSES, DIM))
texts = unit(centres[:, None] + 0.7 * rng.normal(size=(CLASSES, TEMPLATES, DIM)))
labels = rng.integers(0, CLASSES, IMAGES).astype(np.int32)
labels[labels == 3] = 4
images = unit(centres[labels] + 1.6 * rng.normal(size=(IMAGES, DIM)))
table = {f"{t} {c}": texts[c, t] for c in range(CLASSES) for t in range(TEMPLATES)}
model = SimpleNamespace(encode_image=lambda x: x, encode_text=lambda x: x)
tokenizer = lambda words: torch.tensor(np.stack([table[w] for w in words]))
batches = [(torch.tensor(images[i:i + 64]), torch.tensor(labels[i:i + 64]).long()) for i in range(0, IMAGES, 64)]
names = [str(c) for c in range(CLASSES)]
templates = [f"{t} {{c}}" for t in range(TEMPLATES)]
expected["classification"] = zeroshot_classification.evaluate(model, loader(batches), tokenizer, names, templates, "cpu", amp=False)
vectors["images"], vectors["texts"] = images, texts.reshape(-1, DIM)
vectors["labels"] = labels.astype(np.float32)
vectors["classes"] = zeroshot_classification.zero_shot_classifier(model, tokenizer, names, templates, "cpu", amp=False).numpy().T.copy()

# Retrieval: five texts a picture, some far from it.
some = images[:60]
captions = unit(np.repeat(some, PER_IMAGE, 0) + 0.35 * rng.normal(size=(len(some) * PER_IMAGE, DIM)) * rng.choice([0.4, 1.6], size=(len(some) * PER_IMAGE, 1)))
lookup = {str(i): captions[i] for i in range(len(captions))}
words = lambda texts: torch.tensor(np.stack([lookup[t] for t in texts]))
pairs = [(torch.tensor(some[i:i + 16]), [[str(k) for k in range(PER_IMAGE * j, PER_IMAGE * (j + 1))] for j in range(i, min(i + 16, len(some)))])
         for i in range(0, len(some), 16)]
expected["retrieval"] = zeroshot_retrieval.evaluate(model, pairs, words, "cpu", amp=False, recall_k_list=[1, 5, 10])
vectors["captions"] = captions

scores = torch.tensor(captions).double() @ torch.tensor(some).double().T  # [texts, images]
positive = torch.zeros_like(scores, dtype=bool)
positive[torch.arange(len(scores)), torch.arange(len(scores)) // PER_IMAGE] = True
dual = {}
for k in [1, 5, 10]:
    for name, s, p in [("image", scores, positive), ("text", scores.T, positive.T)]:
        weighed = s * torch.softmax(s, dim=0)
        dual[f"{name}_retrieval_recall@{k}"] = (zeroshot_retrieval.recall_at_k(weighed, p, k) > 0).float().mean().item()
expected["dual_softmax"] = dual

OUT.mkdir(parents=True, exist_ok=True)
save_file({k: np.ascontiguousarray(v) for k, v in vectors.items()}, OUT / "vectors.safetensors")
(OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
print(json.dumps(expected, indent=1))
