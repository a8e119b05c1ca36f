"""Whether a folder of scripts/scenes agrees with itself: files, masks, maps, identities, and what is kept apart."""
import hashlib, json, os, sys
import numpy as np
from PIL import Image
from scenery import rle
from scenery.material import CATEGORIES, CLASSES, SIDES

VAL = {"train": "train", "test": "val"}


class Faults:
    """What is wrong, counted; the first ones are printed."""

    def __init__(self):
        self.count = 0

    def unless(self, right, what):
        if not right:
            self.count += 1
            if self.count <= 20:
                print(what)


def check_files(folder, manifest, faults):
    """Whether all can be read."""
    missing = 0
    for path, digest in manifest["files"].items():
        try:
            with open(os.path.join(folder, path), "rb") as file:
                faults.unless(hashlib.sha256(file.read()).hexdigest() == digest, f"{path}: is not what was written")
        except OSError:
            missing += 1
            faults.unless(False, f"{path}: cannot be read")
    return missing == 0


def check_apart(manifest, faults):
    for part in ("objects", "unlabelled", "photographs"):
        both = set(manifest[part]["train"]) & set(manifest[part]["test"])
        faults.unless(not both, f"{part} of both sides: {sorted(both)}")


def allowed(manifest, side):
    return set(manifest["objects"][side]), set(manifest["unlabelled"][side]) | set(manifest["photographs"][side])


def check_scene(folder, side, image, annotations, manifest, faults):
    number, shape = image["id"], (image["height"], image["width"])
    where = f"{side} scene {number}"
    read = lambda path: np.asarray(Image.open(os.path.join(folder, path)))
    picture = read(f"coco/{VAL[side]}2017/{image['file_name']}")
    long = {"train": "training", "test": "validation"}[side]
    semantic = read(f"ade/annotations/{long}/ADE_{VAL[side]}_{number:08d}.png")
    depth = read(f"depth/{side}/sync_depth_{number:05d}.png")
    for what, there in (("picture", picture.shape[:2]), ("semantic map", semantic.shape), ("depth map", depth.shape)):
        faults.unless(there == shape, f"{where}: {what} of {there}, not {shape}")
    faults.unless(depth.min() > 0 and depth.max() < 10000, f"{where}: depth of {depth.min()} to {depth.max()} mm")
    faults.unless(semantic.max() <= len(CLASSES), f"{where}: class {semantic.max()}")
    objects, others = allowed(manifest, side)
    faults.unless({*image["photographs"], *image["unlabelled"]} <= others, f"{where}: made of what is not for {side}")
    faults.unless(2 <= len(annotations) <= 8, f"{where}: {len(annotations)} objects")
    taken = np.zeros(shape, bool)
    for a in annotations:
        mask, (x, y, w, h) = rle.decode(a["segmentation"]), a["bbox"]
        rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
        faults.unless(box == [x, y, w, h], f"{where}: box {a['bbox']} around a mask of {box}")
        faults.unless(mask.sum() == a["area"], f"{where}: area {a['area']} of a mask of {mask.sum()}")
        faults.unless(rle.encode(mask) == a["segmentation"], f"{where}: run lengths do not come back")
        faults.unless(not (mask & taken).any(), f"{where}: two masks meet")
        faults.unless((semantic[mask] == a["category_id"]).all(), f"{where}: a mask of another class")
        faults.unless((depth[mask] == a["depth"]).all(), f"{where}: a mask at another depth")
        faults.unless(0.2 <= a["visible"] <= 1, f"{where}: {a['visible']} of an object is seen")
        faults.unless(a["object"] in objects, f"{where}: {a['object']} is not for {side}")
        taken |= mask
    things = (semantic > 0) & (semantic <= len(CATEGORIES))
    faults.unless((things == taken).all(), f"{where}: objects of the semantic map are not those of the masks")


def check_scenes(folder, manifest, faults):
    for side, count in zip(SIDES, manifest["parameters"]["scenes"]):
        if count == 0:
            continue
        with open(os.path.join(folder, f"coco/annotations/instances_{VAL[side]}2017.json")) as file:
            coco = json.load(file)
        faults.unless(len(coco["images"]) == count, f"{side}: {len(coco['images'])} scenes, not {count}")
        ids = [a["id"] for a in coco["annotations"]]
        faults.unless(len(set(ids)) == len(ids), f"{side}: two annotations have one id")
        by_image = {}
        for a in coco["annotations"]:
            by_image.setdefault(a["image_id"], []).append(a)
        for image in coco["images"]:
            check_scene(folder, side, image, by_image.get(image["id"], []), manifest, faults)


def check_clips(folder, manifest, faults):
    width, height = manifest["parameters"]["clip_size"]
    for name, record in manifest["clips"].items():
        side, tracked = name.split("-")[0], len(record["tracked"])
        objects, others = allowed(manifest, side)
        faults.unless(set(record["tracked"]) <= objects and {*record["unlabelled"], record["photograph"]} <= others,
                      f"clip {name}: made of what is not for {side}")
        hidden = 0
        for frame in range(manifest["parameters"]["frames"]):
            stem = f"480p/{name}/{frame:05d}"
            with Image.open(os.path.join(folder, f"davis/JPEGImages/{stem}.jpg")) as picture:
                faults.unless(picture.size == (width, height), f"clip {stem}: picture of {picture.size}")
            annotation = Image.open(os.path.join(folder, f"davis/Annotations/{stem}.png"))
            ids = np.asarray(annotation)
            right = annotation.mode == "P" and ids.shape == (height, width)
            faults.unless(right, f"clip {stem}: annotation {annotation.mode} of {annotation.size}")
            faults.unless(ids.max() <= tracked, f"clip {stem}: id {ids.max()} of {tracked}")
            faults.unless(frame > 0 or len(np.unique(ids)) == tracked + 1, f"clip {stem}: not all objects are there")
            hidden += not (ids == 1).any()
        faults.unless(hidden >= record["hidden"] >= 2, f"clip {name}: object 1 is not seen in {hidden} frames")


def check_labelled(manifest, faults):
    sides = {"train": ("train", "train"), "val": ("test", "test"), "seen": ("train", "test")}  # object's, photograph's
    for part in ("probe", "seen", "motions"):
        for path, record in manifest[part].items():
            side = path.split("/")[1]
            objects, photographs = manifest["objects"][sides[side][0]], manifest["photographs"][sides[side][1]]
            right = record["object"] in objects and record["photograph"] in photographs
            faults.unless(right, f"{path}: made of what is not for {side}")


def check(folder):
    """0 where all agrees; else 1, and what does not is printed."""
    try:
        with open(os.path.join(folder, "manifest.json")) as file:
            manifest = json.load(file)
    except OSError as problem:
        sys.exit(f"{folder}: {problem.strerror}: manifest.json")
    if not manifest:
        sys.exit(f"{folder}: was not finished; run scripts/scenes again")
    faults = Faults()
    check_apart(manifest, faults)
    check_labelled(manifest, faults)
    if check_files(folder, manifest, faults):
        check_scenes(folder, manifest, faults)
        check_clips(folder, manifest, faults)
    print(f"{folder}: {len(manifest['files'])} files, {faults.count} faults")
    return 1 if faults.count else 0
