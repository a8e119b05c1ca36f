#!/usr/bin/env python3
"""Data and peers of the COCO benchmark.

peer_coco.py make FOLDER IMAGES DETECTIONS [box|mask]        writes truth.json (7.3 annotations a picture, 80 categories, polygons) and results.json
peer_coco.py pycocotools|faster-coco-eval FOLDER [box|mask]  prints seconds in all (reading, matching, accumulating), of reading, and AP
"""
import contextlib, io, json, os, sys, time


def make(folder, images, detections, kind):
    import numpy as np
    r = np.random.default_rng(0)
    os.makedirs(folder, exist_ok=True)
    height, width = 480, 640
    ids = np.sort(r.choice(600000, images, replace=False))
    categories = np.sort(r.choice(np.arange(1, 91), 80, replace=False))
    share = r.dirichlet(np.full(80, .5))
    count = r.poisson(7.3, images)
    owner = np.repeat(np.arange(images), count)
    n = len(owner)
    size = np.exp(r.normal(3.9, 1, (n, 2))).clip(4, [width, height])
    corner = r.random((n, 2)) * ([width, height] - size)
    category, crowd = r.choice(80, n, p=share), r.random(n) < .01
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]

    def outline(box, wobble):
        x, y, w, h = box
        return np.stack([x + w / 2 * (1 + wobble * np.cos(angle)), y + h / 2 * (1 + wobble * np.sin(angle))], 1).ravel()

    wobble = r.uniform(.6, 1, (n, 24))
    annotations = []
    for i in range(n):
        box = [*corner[i], *size[i]]
        annotations.append(dict(segmentation=[np.round(outline(box, wobble[i]), 2).tolist()], area=float(np.round(size[i].prod() * .6, 4)), iscrowd=int(crowd[i]),
                                image_id=int(ids[owner[i]]), bbox=np.round(box, 2).tolist(), category_id=int(categories[category[i]]), id=i + 1))
    json.dump(dict(info={}, images=[dict(id=int(i), file_name=f"{i:012d}.jpg", height=height, width=width) for i in ids], annotations=annotations,
                   categories=[dict(id=int(c), name=f"c{c}") for c in categories]), open(os.path.join(folder, "truth.json"), "w"))
    # half of the detections near an annotation of their picture, the others anywhere
    first = np.concatenate([[0], np.cumsum(count)])
    if kind == "mask":
        from pycocotools import mask as rle
    out = []
    each = detections // images
    for i in range(images):
        for _ in range(each):
            if count[i] and r.random() < .5:
                k = int(first[i] + r.integers(count[i]))
                box, c, score, shape = np.array([*corner[k], *size[k]]) + r.normal(size=4) * np.tile(size[k], 2) * .08, category[k], r.beta(2, 2), wobble[k]
            else:
                s = np.exp(r.normal(3.9, 1, 2)).clip(4, [width, height])
                box, c, score, shape = np.array([*(r.random(2) * ([width, height] - s)), *s]), r.choice(80, p=share), r.beta(1, 4), np.full(24, .9)
            d = dict(image_id=int(ids[i]), category_id=int(categories[c]), score=float(np.float32(score)))
            if kind == "mask":
                code = rle.frPyObjects([outline(box, shape).tolist()], height, width)[0]
                d["segmentation"] = dict(size=code["size"], counts=code["counts"].decode())
            else:
                d["bbox"] = box.astype("float32").astype(float).tolist()
            out.append(d)
    json.dump(out, open(os.path.join(folder, "results.json"), "w"))


def score(peer, folder, kind):
    if peer == "faster-coco-eval":
        from faster_coco_eval import COCO, COCOeval_faster as COCOeval
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        truth = COCO(os.path.join(folder, "truth.json"))
        results = truth.loadRes(os.path.join(folder, "results.json"))
        read = time.perf_counter()
        e = COCOeval(truth, results, "segm" if kind == "mask" else "bbox")
        e.evaluate(), e.accumulate(), e.summarize()
        end = time.perf_counter()
    print(end - start, read - start, e.stats[0])


kind = sys.argv[-1] if sys.argv[-1] in ("box", "mask") else "box"
if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), kind)
else:
    score(sys.argv[1], sys.argv[2], kind)
