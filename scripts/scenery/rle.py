"""COCO's run lengths of a mask: column by column, alternating runs, zeros first; five bits of a number to a character,
the lowest first, and a sixth bit where more follow."""
import numpy as np


def encode(mask):
    """bool [h, w] -> {"size", "counts"}."""
    flat = np.concatenate(([False], mask.ravel(order="F"), [False]))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = [int(r) for r in np.diff(np.concatenate(([0], edges, [mask.size])))]
    if len(edges) and edges[-1] == mask.size:
        runs.pop()
    text = []
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run  # from the fourth on, the difference to the last run of its kind
        while True:
            low, value = value & 31, value >> 5
            more = value != (-1 if low & 16 else 0)
            text.append(chr(48 + low + 32 * more))
            if not more:
                break
    return {"size": list(mask.shape), "counts": "".join(text)}


def decode(segmentation):
    runs, value, shift = [], 0, 0
    for character in segmentation["counts"]:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    height, width = segmentation["size"]
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
