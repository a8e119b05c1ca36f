#!/usr/bin/env python3
"""Golden probes: scikit-learn's nearest neighbours by cosine with DINOv2's votes, and its LogisticRegression(lbfgs, tol 1e-10).
scripts/reference/probes.py test/golden/probes   (needs scikit-learn, numpy, safetensors)

Writes vectors.safetensors.  knn: train, labels, test, votes.K [queries, classes].  Regressions many, two and lacking (a class of four that
has no samples): x, y, test, and of each C of the list in order loss, and logits of the test rows (two classes: of the second less the first's).
"""
import os, sys
import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

out, rng = {}, np.random.default_rng(3)


def rows(count, dim, classes, spread):
    labels = rng.integers(0, classes, count)
    scale = np.arange(1, dim + 1) ** -0.5
    centres = np.random.default_rng(classes).normal(size=(classes, dim))
    return ((rng.normal(size=(count, dim)) * spread + centres[labels]) * scale + 2).astype(np.float32), labels


def neighbours(classes=7, most=50, temperature=0.07):
    train, labels = rows(400, 24, classes, 2)
    test, _ = rows(60, 24, classes, 2)
    train[:, :] -= 2
    test[:, :] -= 2
    distance, index = NearestNeighbors(n_neighbors=most, metric="cosine", algorithm="brute").fit(train.astype(np.float64)).kneighbors(test.astype(np.float64))
    weights = np.exp((1 - distance) / temperature)
    weights /= weights.sum(1, keepdims=True)
    out.update({"knn.train": train, "knn.labels": labels, "knn.test": test})
    for k in (1, 5, 20, most):
        out[f"knn.votes.{k}"] = np.stack([(weights[:, :k] * (labels[index[:, :k]] == c)).sum(1) for c in range(classes)], 1)


def regression(name, count, dim, classes, costs, without=None):
    x, y = rows(count, dim, classes, 1.5)
    test, _ = rows(40, dim, classes, 1.5)
    if without is not None:
        x, y = x[y != without], y[y != without]
    losses, logits, wide = [], [], x.astype(np.float64)
    for cost in costs:
        fit = LogisticRegression(C=cost, tol=1e-10, max_iter=1000000).fit(wide, y)
        scores = fit.decision_function(wide).reshape(len(y), -1)
        if scores.shape[1] == 1:
            scores = np.concatenate([0 * scores, scores], 1)
        top = scores.max(1)
        entropy = np.log(np.exp(scores - top[:, None]).sum(1)) + top - scores[np.arange(len(y)), np.searchsorted(fit.classes_, y)]
        losses.append(cost * entropy.sum() + 0.5 * (fit.coef_**2).sum())
        logits.append(fit.decision_function(test.astype(np.float64)).reshape(len(test), -1))
    out.update({f"{name}.x": x, f"{name}.y": y, f"{name}.test": test, f"{name}.c": np.array(costs), f"{name}.loss": np.array(losses), f"{name}.logits": np.stack(logits)})


neighbours()
regression("many", 300, 12, 5, [1e-3, 0.1, 1, 100])
regression("two", 150, 8, 2, [1e-2, 1, 100])
regression("lacking", 200, 6, 4, [0.1, 10], without=1)
save_file({name: np.ascontiguousarray(value, dtype=np.float32) for name, value in out.items()}, os.path.join(sys.argv[1], "vectors.safetensors"))
