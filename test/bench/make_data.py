#!/usr/bin/env python3
"""Synthetic photographs for the benchmarks: make_data.py FOLDER COUNT. 500 x 375 JPEG, quality 90, with a caption of 8 to 14 words each."""
import os, sys
import numpy as np
from PIL import Image

folder, count = sys.argv[1], int(sys.argv[2])
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(0)
words = "a man woman dog riding sitting red blue small large table street near with on top of old wooden grass field water holding".split()
for i in range(count):
    # smooth structure at several scales plus fine noise: about 50 KB, as a photograph of that size
    image = np.zeros((375, 500, 3))
    for cells in (3, 8, 25, 80):
        coarse = Image.fromarray((rng.random((cells, cells, 3)) * 255).astype("uint8")).resize((500, 375), Image.BICUBIC)
        image += np.asarray(coarse, float) / 4
    image += rng.normal(0, 6, image.shape)
    Image.fromarray(image.clip(0, 255).astype("uint8")).save(os.path.join(folder, f"{i:05d}.jpg"), quality=90)
    with open(os.path.join(folder, f"{i:05d}.txt"), "w") as f:
        f.write(" ".join(rng.choice(words, rng.integers(8, 15))) + "\n")
