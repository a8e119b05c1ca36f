#!/usr/bin/env python3
"""Golden figures of COCO and LVIS: small random truths and results, and what the official evaluators say of them.   scripts/reference/coco.py test/golden/coco
(needs pycocotools 2.0.11, lvis 0.5.3, numpy)

Writes NAME-truth.json, NAME-results.json and cases.json: { NAME: { metric: { key: figure } } }, -1 as they have it; polygons.json: [{ polygons, size, counts }].  Cases hold crowds, polygons in parts, runs as
strings and lists, equal scores, empty pictures, categories without annotations or detections, areas on the bounds of sizes, ids with gaps in no order, id 0.
"""
import contextlib, copy, io, json, logging, os, sys
import numpy as np
np.float = float  # lvis asks for it
from lvis import LVIS, LVISEval, LVISResults
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

logging.disable(logging.CRITICAL)
COCO_KEYS = "AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl".split()


def coco(truth, results, kind):
    with contextlib.redirect_stdout(io.StringIO()):
        c = COCO()
        c.dataset = copy.deepcopy(truth)
        c.createIndex()
        e = COCOeval(c, c.loadRes(copy.deepcopy(results)), kind)
        e.evaluate(), e.accumulate(), e.summarize()
    return dict(zip(COCO_KEYS, map(float, e.stats)))


def lvis(truth, results, kind):
    c = LVIS.__new__(LVIS)
    c.logger, c.dataset = logging.getLogger(), copy.deepcopy(truth)
    c._create_index()
    e = LVISEval(c, LVISResults(c, copy.deepcopy(results)), kind)
    e.run()
    return {k.replace("@300", ""): float(v) for k, v in e.get_results().items()}


def figures(metric, truth, results):
    return (lvis if metric.startswith("lvis") else coco)(truth, results, "segm" if metric.endswith("mask") else "bbox")


def runs(mask):
    """A mask as the string and as the list of its runs."""
    code = rle.encode(np.asfortranarray(mask.astype("uint8")))
    flat, out, value = mask.flatten(order="F").astype(int), [], 0
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    out = ([0] if flat[0] else []) + lengths
    return {"size": code["size"], "counts": code["counts"].decode()}, {"size": code["size"], "counts": out}


class Case:
    """size: pictures are up to this high and wide.  few: values a score may have, 0: any.  both: results of masks have boxes too."""

    def __init__(self, seed, images=6, size=140, few=0, crowded=False, masks=True, lvis=False, zero=False, both=False):
        self.rng, self.masks, self.lvis, self.few, self.crowded, self.both = np.random.default_rng(seed), masks, lvis, few, crowded, both
        r = self.rng
        ids = r.choice(10 * images + 50, images, replace=False)
        self.images = [dict(id=int(i), height=int(r.integers(size // 2, size + 1)), width=int(r.integers(size // 2, size + 1))) for i in ids]
        count = int(r.integers(2, 6))
        self.categories = [dict(id=int(i)) for i in r.choice(40, count, replace=False)]
        for i, c in enumerate(self.categories):
            c["frequency"] = "rcf"[i % 3] if r.random() < .7 else "f"
        named = [c["id"] for c in self.categories]
        self.used = named[: max(1, count - int(r.integers(0, 2)))]   # the others have no annotation
        annotations, results = [], []
        for image in self.images:
            if lvis:
                image["neg_category_ids"] = [c for c in named if r.random() < .3]
                image["not_exhaustive_category_ids"] = [c for c in named if r.random() < .2]
            if r.random() < .12:
                continue
            mine = [self.annotation(image) for _ in range(int(r.integers(0, 7)))]
            annotations += mine
            if r.random() < .1:
                continue
            for a in mine:
                for _ in range(int(r.integers(0, 4))):
                    results.append(self.near(image, a))
            wild = int(r.integers(0, 6)) if not crowded or r.random() < .5 else int(r.integers(100, 180)) * (3 if lvis else 1)
            results += [self.near(image, self.annotation(image), wild=True) for _ in range(wild)]
        for a, i in zip(annotations, r.permutation(len(annotations))):
            a.pop("shape", 0)
            a["id"] = int(i) * 3 + (0 if zero else 1)
        missed = set(r.choice(named, 1).tolist()) if r.random() < .3 else set()   # a category without detections
        results = [d for d in results if d["category_id"] not in missed]
        r.shuffle(annotations), r.shuffle(results), r.shuffle(self.categories)
        self.truth = dict(images=self.images, annotations=annotations, categories=self.categories)
        self.results = results

    def box(self, image):
        r, h, w = self.rng, image["height"], image["width"]
        if r.random() < .25:   # areas on the bounds of small and medium
            bw, bh = [(32, 32), (64, 16), (96, 96), (128, 72), (16, 64)][int(r.integers(5))]
        else:
            bw, bh = r.uniform(2, w * .8), r.uniform(2, h * .8)
        x, y = r.uniform(-3, max(1, w - bw)), r.uniform(-3, max(1, h - bh))
        box = [float(x), float(y), float(bw), float(bh)]
        kind = r.integers(3)
        return [float(round(v)) for v in box] if kind == 0 else [round(v, 2) for v in box] if kind == 1 else box

    def polygons(self, box):
        r, out = self.rng, []
        x, y, w, h = box
        for _ in range(int(r.integers(1, 4))):
            n = int(r.integers(3, 9))
            angle = np.sort(r.uniform(0, 2 * np.pi, n)) if r.random() < .8 else r.uniform(0, 2 * np.pi, n)
            radius = r.uniform(.3, 1.2, n)
            px, py = x + w / 2 + radius * np.cos(angle) * w / 2, y + h / 2 + radius * np.sin(angle) * h / 2
            points = np.stack([px, py], 1).ravel()
            if r.random() < .3:
                points = np.round(points)
            if r.random() < .1:
                points = np.concatenate([points, points[:2]])   # closed by its first point
            out.append([round(float(v), 2) for v in points])
            x, y = x + r.uniform(-.5, .5) * w, y + r.uniform(-.5, .5) * h
        if r.random() < .05:
            out.append([x, y, x + w, y + h])   # a line
        return out

    def mask(self, image, polygons):
        return rle.decode(rle.merge(rle.frPyObjects(polygons, image["height"], image["width"])))

    def annotation(self, image):
        r = self.rng
        box, crowd = self.box(image), int(r.random() < .12)
        a = dict(image_id=image["id"], category_id=int(r.choice(self.used)), bbox=box, iscrowd=crowd)
        if self.masks:
            polygons = self.polygons(box)
            mask = self.mask(image, polygons)
            text, counts = runs(mask)
            kind = r.random()
            a["shape"] = polygons
            a["segmentation"] = counts if crowd or kind < .2 else text if kind < .4 else polygons
            a["area"] = float(mask.sum())
        else:
            a["area"] = box[2] * box[3]
        pick = r.random()
        if pick < .1:
            a["area"] = float(r.choice([1024, 9216, 1023.9999999, 9216.0001]))
        if self.lvis and r.random() < .1:
            a["ignore"] = 1
        if self.lvis and r.random() < .03:
            a["area"] = 0
        return a

    def near(self, image, a, wild=False):
        r = self.rng
        x, y, w, h = a["bbox"]
        by = 0 if r.random() < .1 else r.choice([.02, .1, .3])
        box = [float(x + r.normal() * by * w), float(y + r.normal() * by * h), float(w * np.exp(r.normal() * by)), float(h * np.exp(r.normal() * by))]
        score = float(r.integers(1, self.few + 1) / self.few) if self.few else float(np.float32(r.random()))
        if self.crowded:   # short numbers for a small file
            box, score = [round(v, 1) for v in box], round(score, 5)
        category = a["category_id"] if r.random() < .9 else int(r.choice([c["id"] for c in self.categories]))
        d = dict(image_id=image["id"], category_id=category, score=score)
        if self.masks:
            move = lambda p: np.array(p) if by == 0 else (np.array(p).reshape(-1, 2) * np.exp(r.normal(size=2) * by * .3) + r.normal(size=2) * by * .3 * [w, h]).ravel()
            mask = self.mask(image, [move(p).tolist() for p in a["shape"] if len(p) > 4])
            d["segmentation"] = runs(mask * (r.random() > .02))[0]
        if not self.masks or self.both:
            d["bbox"] = box
        return d


def golden_tables():
    """aligner-evaluator.md 4.5."""
    images = [dict(id=1, width=200, height=200), dict(id=2, width=200, height=200)]
    a = lambda i, image, c, box, crowd=0: dict(id=i, image_id=image, category_id=c, bbox=box, area=box[2] * box[3], iscrowd=crowd)
    d = lambda image, c, box, s: dict(image_id=image, category_id=c, bbox=box, score=s)
    truth = dict(images=images, categories=[dict(id=1), dict(id=7)], annotations=[
        a(1, 1, 1, [10, 10, 40, 40]), a(2, 1, 1, [60, 60, 100, 100]), a(3, 2, 7, [20, 20, 20, 20]), a(4, 1, 1, [0, 120, 80, 80], 1)])
    results = [d(1, 1, [12, 11, 40, 40], .9), d(1, 1, [62, 66, 100, 96], .8), d(1, 1, [5, 125, 20, 20], .7), d(1, 1, [40, 150, 20, 20], .65),
               d(1, 1, [150, 5, 30, 30], .85), d(2, 7, [22, 21, 20, 20], .6), d(2, 7, [20, 20, 20, 20], .4)]
    zero, area = copy.deepcopy(truth), copy.deepcopy(truth)
    zero["annotations"][0]["id"] = 0
    area["annotations"][1]["area"] = 5000
    return {"plain": (truth, results), "zero": (zero, results), "area": (area, results), "missed": (truth, results[:5])}


def at_limit(count, lvis=False):
    """Of two objects the detections are numbers `count` and count + 1 by score, behind false ones."""
    images = [dict(id=1, neg_category_ids=[], not_exhaustive_category_ids=[])]
    objects = [[0, 0, 40, 40], [50, 50, 40, 40]]
    truth = dict(images=images, categories=[dict(id=1, frequency="f"), dict(id=2, frequency="r")],
                 annotations=[dict(id=i + 1, image_id=1, category_id=1, bbox=b, area=1600, iscrowd=0) for i, b in enumerate(objects)])
    result = lambda i, b: dict(image_id=1, category_id=1 + (lvis and i % 2 and i < count - 1), score=1 - i / 1024, bbox=b)
    return truth, [result(i, [99, 9, 9, 9]) for i in range(count - 1)] + [result(count - 1 + i, b) for i, b in enumerate(objects)]


def polygons():
    """Objects of one to three polygons on a picture of 30 x 40, whole numbers, halves and hundredths, also beyond its edges: with their runs."""
    r, out = np.random.default_rng(3), []
    for i in range(60):
        grain = [1, 2, 100, 1][i % 4]
        parts = [(np.round(r.uniform(-4, 44, 2 * int(r.integers(3, 7))) * grain) / grain).tolist() for _ in range(1 + i % 3)]
        code = rle.merge(rle.frPyObjects(parts, 30, 40))
        out.append(dict(size=code["size"], counts=code["counts"].decode(), polygons=parts))
    return out


def main(folder):
    os.makedirs(folder, exist_ok=True)
    cases = {name: (["coco-box"], *case) for name, case in golden_tables().items()}
    cases["best100"], cases["best300"] = (["coco-box"], *at_limit(100)), (["lvis-box"], *at_limit(300, True))
    for name, metrics, options in [
            ("box", ["coco-box"], dict(seed=20, masks=False, images=9)),
            ("ties", ["coco-box"], dict(seed=2, masks=False, few=4, images=9)),
            ("crowded", ["coco-box"], dict(seed=4, masks=False, crowded=True, images=4)),
            ("mask", ["coco-mask", "coco-box"], dict(seed=4, images=5, size=110)),
            ("masksboxes", ["coco-mask", "coco-box"], dict(seed=9, both=True, images=4, size=110)),
            ("maskties", ["coco-mask"], dict(seed=5, few=3, images=5, size=110)),
            ("maskzero", ["coco-mask"], dict(seed=6, zero=True, images=4, size=80)),
            ("lvis", ["lvis-box"], dict(seed=7, masks=False, lvis=True, images=9)),
            ("lvismask", ["lvis-mask", "lvis-box"], dict(seed=8, lvis=True, few=6, images=6, size=90)),
            ("lviscut", ["lvis-box"], dict(seed=5, masks=False, lvis=True, crowded=True, images=3))]:
        case = Case(**options)
        cases[name] = (metrics, case.truth, case.results)
    out = {}
    for name, (metrics, truth, results) in cases.items():
        for part, value in ("truth", truth), ("results", results):
            with open(os.path.join(folder, f"{name}-{part}.json"), "w") as f:
                json.dump(value, f, separators=(",", ":"))
        out[name] = {m: figures(m, truth, results) for m in metrics}
        print(name, len(truth["annotations"]), len(results), {m: round(v["AP"], 6) for m, v in out[name].items()})
    with open(os.path.join(folder, "polygons.json"), "w") as f:
        json.dump(polygons(), f, separators=(",", ":"))
    with open(os.path.join(folder, "cases.json"), "w") as f:
        json.dump(out, f, indent=1)


if __name__ == "__main__":
    main(sys.argv[1])
