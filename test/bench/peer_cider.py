"""Captions and pycocoevalcap's CIDEr-D of them.

peer_cider.py make FOLDER IMAGES   writes truth.json (COCO's captions, five a picture) and results.json; their words are what the tokeniser makes of them, so both sides
                                   count the same n-grams (the peer's own tokeniser is Java's and left out)
peer_cider.py score FOLDER         prints seconds (reading and counting, importing left out) and CIDEr"""
import json, os, random, sys, time


def make(folder, images):
    r = random.Random(0)
    words = sorted({"".join(r.choice("bdfgklmnprtvz") + r.choice("aeiou") for _ in range(r.randint(2, 4))) for _ in range(9000)})
    r.shuffle(words)
    weights = [1 / (i + 2) for i in range(len(words))]

    def caption(topic):  # a third of its words are of the picture's own few
        return " ".join(r.choice(topic) if r.random() < 1 / 3 else w for w in r.choices(words, weights, k=r.randint(8, 14)))

    os.makedirs(folder, exist_ok=True)
    annotations, results = [], []
    for i in range(images):
        topic = r.choices(words, weights, k=6)
        annotations += [dict(image_id=i, id=5 * i + k, caption=caption(topic)) for k in range(5)]
        results.append(dict(image_id=i, caption=caption(topic)))
    json.dump(dict(images=[dict(id=i, file_name=f"{i}.jpg") for i in range(images)], annotations=annotations), open(os.path.join(folder, "truth.json"), "w"))
    json.dump(results, open(os.path.join(folder, "results.json"), "w"))


def score(folder):
    from pycocoevalcap.cider.cider import Cider
    start = time.perf_counter()
    gts, res = {}, {}
    for a in json.load(open(os.path.join(folder, "truth.json")))["annotations"]:
        gts.setdefault(a["image_id"], []).append(a["caption"])
    for p in json.load(open(os.path.join(folder, "results.json"))):
        res[p["image_id"]] = [p["caption"]]
    value, _ = Cider().compute_score(gts, res)
    print(f"{time.perf_counter() - start:.3f} {value:.9f}")


make(sys.argv[2], int(sys.argv[3])) if sys.argv[1] == "make" else score(sys.argv[2])
