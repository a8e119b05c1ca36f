#!/usr/bin/env python3
"""Golden resizes: PIL's BILINEAR of a picture, whole and by box, and its BICUBIC, whole (bicubic.bin, the first seven cases).   scripts/reference/resize.py test/golden/resize   (needs Pillow, numpy)

Writes source.png, cases.txt (WIDTH HEIGHT X0 Y0 X1 Y1 a line) and outputs.bin: the RGB bytes of all cases one behind the other.
"""
import os, sys
import numpy as np
from PIL import Image

folder = sys.argv[1]
rng = np.random.default_rng(1)
source = (rng.random((53, 71, 3)) * 255).astype("uint8")
source[10:30, 20:50] = (255, 0, 128)
image = Image.fromarray(source)
image.save(os.path.join(folder, "source.png"))
cases = [(32, 32, 0, 0, 71, 53), (71, 53, 0, 0, 71, 53), (71, 20, 0, 0, 71, 53), (20, 53, 0, 0, 71, 53), (224, 224, 0, 0, 71, 53), (1, 1, 0, 0, 71, 53),
         (7, 200, 0, 0, 71, 53), (16, 16, 3, 5, 40, 50), (64, 64, 10.5, 0.25, 33.75, 20.125), (24, 24, 0, 0, 1.5, 1.25)]
with open(os.path.join(folder, "cases.txt"), "w") as text, open(os.path.join(folder, "outputs.bin"), "wb") as out:
    for w, h, *box in cases:
        print(w, h, *box, file=text)
        out.write(np.asarray(image.resize((w, h), Image.BILINEAR, box=box)).tobytes())
with open(os.path.join(folder, "bicubic.bin"), "wb") as out:
    for w, h, *_ in cases[:7]:
        out.write(np.asarray(image.resize((w, h), Image.BICUBIC)).tobytes())
