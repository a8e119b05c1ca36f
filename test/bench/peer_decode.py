#!/usr/bin/env python3
"""Peers of the decode benchmark: peer_decode.py FOLDER SECONDS pil|opencv|simplejpeg      prints pictures/s on one thread.

pil: torchvision's RandomResizedCrop, ColorJitter and flip on PIL images; opencv and simplejpeg: full decode, then the same crop, cv2.resize (area),
jitter in NumPy.
"""
import glob, io, math, os, random, sys, time
import numpy as np

folder, seconds, kind = sys.argv[1], float(sys.argv[2]), sys.argv[3]
data = [open(p, "rb").read() for p in sorted(glob.glob(os.path.join(folder, "*.jpg")))]
if kind == "pil":
    import torch
    torch.set_num_threads(1)
    from PIL import Image
    from torchvision import transforms as T
    pipeline = T.Compose([T.RandomResizedCrop(224, (0.08, 1), (0.75, 4 / 3)), T.ColorJitter(0.32, 0, 0.32, 0), T.RandomHorizontalFlip()])
    run = lambda b: np.asarray(pipeline(Image.open(io.BytesIO(b)).convert("RGB")))
else:
    import cv2
    cv2.setNumThreads(1)
    if kind == "opencv":
        decode = lambda b: cv2.imdecode(np.frombuffer(b, np.uint8), cv2.IMREAD_COLOR)
    else:
        import simplejpeg
        decode = lambda b: simplejpeg.decode_jpeg(b)

    def run(b):
        image = decode(b)
        h, w = image.shape[:2]
        for _ in range(10):
            area, ratio = random.uniform(0.08, 1) * h * w, math.exp(random.uniform(math.log(0.75), math.log(4 / 3)))
            cw, ch = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if cw <= w and ch <= h:
                break
        else:
            cw, ch = w, h
        x, y = random.randint(0, w - cw), random.randint(0, h - ch)
        out = cv2.resize(image[y:y + ch, x:x + cw], (224, 224), interpolation=cv2.INTER_AREA if cw > 224 else cv2.INTER_LINEAR)
        out = cv2.convertScaleAbs(out, alpha=random.uniform(0.68, 1.32))
        grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        f = random.uniform(0.68, 1.32)
        out = cv2.addWeighted(out, f, grey, 1 - f, 0)
        return cv2.flip(out, 1) if random.random() < 0.5 else out

for b in data[:8]:
    run(b)
start, done = time.perf_counter(), 0
while time.perf_counter() - start < seconds:
    for b in data:
        run(b)
    done += len(data)
print(done / (time.perf_counter() - start))
