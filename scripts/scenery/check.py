"""Whether a folder of scripts/scenes agrees with itself: files, masks, maps, identities, and what is kept apart."""
import hashlib, json, os
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
    for path, digest in manifest["files"].items():
        try:
            with open(os.path.join(folder, path), "rb") as file:
                faults.unless(hashlib.sha256(file.read()).hexdigest() == digest, f"{path}: is not what was written")
        except OSError:
            faults.unless(False, f"{path}: cannot be read")


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
    faults.unless(set(image["photographs"]) | set(image["unlabelled"]) <= others, f"{where}: made of what is not for {side}")
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
        faults.unless(sorted(a["id"] for a in coco["annotations"]) == list(range(1, len(coco["annotations"]) + 1)), f"{side}: ids")
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
            faults.unless(annotation.mode == "P" and ids.shape == (height, width), f"clip {stem}: annotation of another kind")
            faults.unless(ids.max() <= tracked, f"clip {stem}: id {ids.max()} of {tracked}")
            faults.unless(frame > 0 or len(np.unique(ids)) == tracked + 1, f"clip {stem}: not all objects are in the first frame")
            hidden += not (ids == 1).any()
        faults.unless(hidden >= record["hidden_frames_of_1"] >= 2, f"clip {name}: object 1 is hidden for {hidden} frames")


def check_labelled(manifest, faults):
    for part in ("probe", "motions"):
        for path, record in manifest[part].items():
            side = {"train": "train", "val": "test"}[path.split("/")[1]]
            right = record["object"] in manifest["objects"][side] and record["photograph"] in manifest["photographs"][side]
            faults.unless(right, f"{path}: made of what is not for {side}")


def check(folder):
    """0 where all agrees; else 1, and what does not is printed."""
    with open(os.path.join(folder, "manifest.json")) as file:
        manifest = json.load(file)
    faults = Faults()
    check_files(folder, manifest, faults)
    check_apart(manifest, faults)
    check_scenes(folder, manifest, faults)
    check_clips(folder, manifest, faults)
    check_labelled(manifest, faults)
    print(f"{folder}: {len(manifest['files'])} files, {faults.count} faults")
    return 1 if faults.count else 0
