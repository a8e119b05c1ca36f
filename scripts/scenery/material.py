"""What scenes are made of: cut-out objects and photographs from Debian packages, each on one side, "train" or "test".

material.json says which stamps of Tux Paint make a category ("!" takes some out), which serve as objects without a
category, and what photographs show: "scenery" or a kind of surface, each with a rectangle in percent (left, top, right,
bottom).  The sides of photographs stand there; objects are split here by a hash of their names, whatever the seed, so
that what is learnt from one folder of scenes was not seen where another tests.
"""
import concurrent.futures, fnmatch, glob, gzip, hashlib, json, os, subprocess, sys
from collections import namedtuple
from PIL import Image

SIDES = ("train", "test")
TEST_SHARE = 0.3  # of a category's objects, at least one
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "material.json"), encoding="utf-8") as table:
    TABLE = json.load(table)
CATEGORIES = sorted(TABLE["categories"])
SURFACES = ("brick", "foliage", "grass", "ground", "pavement", "sky", "water")
CLASSES = [*CATEGORIES, *SURFACES]  # class i + 1 of semantic maps; 0: anything else

Cutout = namedtuple("Cutout", "name category image")  # category: index in CATEGORIES or None; image: RGBA, no margin
Photograph = namedtuple("Photograph", "name image shows")  # shows: {kind: (left, top, right, bottom) in pixels}
Material = namedtuple("Material", "objects strays photographs")  # lists, of one side; strays: cut-outs of no category


def fetch(debs, packages=tuple(TABLE["packages"])):
    """Download and unpack the packages that are missing (nothing is installed); {package: version}."""
    os.makedirs(debs, exist_ok=True)
    versions, log = {}, os.path.join(debs, "apt.log")
    for name in packages:
        target = os.path.join(debs, name)
        if not os.path.isdir(target):
            with open(log, "a") as out:
                if subprocess.run(["apt-get", "download", name], cwd=debs, stdout=out, stderr=out).returncode:
                    sys.exit(f"{name}: apt-get download failed, {log} says why; apt-get update may help")
            deb = glob.glob(os.path.join(debs, name + "_*.deb"))[0]
            subprocess.run(["dpkg", "-x", deb, target + ".part"], check=True)
            os.remove(deb)
            os.rename(target + ".part", target)
        changes = os.path.join(target, "usr/share/doc", name, "changelog.Debian.gz")
        with gzip.open(changes, "rt", encoding="utf-8") as text:
            versions[name] = text.readline().split("(")[1].split(")")[0]
    return versions


def stamps(root, patterns):
    """Names of the stamps that match a pattern and none of those after a "!"."""
    found, never = set(), [p[1:] for p in patterns if p[0] == "!"]
    for pattern in (p for p in patterns if p[0] != "!"):
        paths = glob.glob(f"{root}/{pattern}.png")
        if not paths:
            sys.exit(f"{root}: no {pattern}.png, which material.json asks for")
        found.update(os.path.relpath(path, root)[:-4] for path in paths)
    return sorted(name for name in found if not any(fnmatch.fnmatch(name, n) for n in never))


def split(names):
    """{name: side}.  Near duplicates, TABLE["together"], are on one side."""
    groups = {}
    for name in names:
        key = next((p for p in TABLE["together"] if fnmatch.fnmatch(name, p)), name)
        groups.setdefault(key, []).append(name)
    sides, tested = {}, 0
    for key in sorted(groups, key=lambda k: hashlib.sha256(k.encode()).digest()):
        side = "test" if tested == 0 or tested + len(groups[key]) <= TEST_SHARE * len(names) else "train"
        tested += len(groups[key]) if side == "test" else 0
        sides.update((name, side) for name in groups[key])
    return sides


def load_cutout(path, pixels):
    image = Image.open(path).convert("RGBA")
    image = image.crop(image.getchannel("A").point(lambda a: 255 * (a >= 128)).getbbox())
    image.thumbnail((pixels, pixels), Image.BICUBIC)
    return image


def load_photograph(path, pixels, shows):
    image = Image.open(path)
    image.draft("RGB", (pixels, pixels))
    image = image.convert("RGB")
    image.thumbnail((pixels, pixels), Image.BICUBIC)
    to_pixels = lambda percent: tuple(p * image.size[i % 2] // 100 for i, p in enumerate(percent))
    return image, {kind: to_pixels(rectangle) for kind, rectangle in shows.items()}


def load(debs, pixels):
    """{side: Material}, no picture's longer side above `pixels`."""
    root, todo = os.path.join(debs, TABLE["stamps"]), []  # todo: (side, part of Material, name, what goes with it)
    for index, category in enumerate(CATEGORIES):
        names = stamps(root, TABLE["categories"][category])
        todo += [(side, "objects", name, index) for name, side in split(names).items()]
    todo += [(side, "strays", name, None) for name, side in split(stamps(root, TABLE["unlabelled"])).items()]
    for folder, sides in TABLE["photographs"].items():
        for side, photographs in sides.items():
            todo += [(side, "photographs", f"{folder}/{name}", shows) for name, shows in photographs.items()]

    def one(job):
        _, part, name, extra = job
        if part == "photographs":
            return Photograph(name, *load_photograph(os.path.join(debs, name), pixels, extra))
        return Cutout(name, extra, load_cutout(f"{root}/{name}.png", pixels))

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(one, todo))
    part_of = lambda side, part: [m for job, m in zip(todo, made) if job[:2] == (side, part)]
    return {side: Material(*(part_of(side, part) for part in Material._fields)) for side in SIDES}


def by_category(objects):
    """Lists of objects, one for each category that is there."""
    found = {}
    for cutout in objects:
        found.setdefault(cutout.category, []).append(cutout)
    return list(found.values())
