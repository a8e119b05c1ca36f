"""What scenes are made of: cut-out objects and photographs from Debian packages, each for one side only, "train" or "test".

material.json says which stamps of Tux Paint make a category, which serve as unlabelled objects, and what photographs show:
"scenery" or a kind of surface, each with a rectangle in percent (left, top, right, bottom).  The sides of photographs stand
there; objects are split here by a hash of their names, whatever the seed, so that no run trains on what another tests.
"""
import concurrent.futures, fnmatch, glob, gzip, hashlib, json, os, subprocess
from collections import namedtuple
from PIL import Image

SIDES = ("train", "test")
TEST_SHARE = 0.3  # of a category's objects, at least one
TABLE = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "material.json"), encoding="utf-8"))
CATEGORIES = sorted(TABLE["categories"])
SURFACES = ("brick", "foliage", "grass", "ground", "pavement", "sky", "water")
CLASSES = [*CATEGORIES, *SURFACES]  # class i + 1 of semantic maps; 0: anything else

Cutout = namedtuple("Cutout", "name category image")   # category: index in CATEGORIES, or None; image: RGBA, no empty margin
Photograph = namedtuple("Photograph", "name image shows")  # shows: {kind: (left, top, right, bottom) in pixels}
Material = namedtuple("Material", "objects strays photographs")  # lists, of one side; strays are objects without a category


def fetch(debs):
    """Download and unpack the packages that are missing (nothing is installed); {package: version}."""
    os.makedirs(debs, exist_ok=True)
    versions = {}
    for name in TABLE["packages"]:
        target = os.path.join(debs, name)
        if not os.path.isdir(target):
            with open(os.path.join(debs, "apt.log"), "a") as log:
                subprocess.run(["apt-get", "download", name], cwd=debs, check=True, stdout=log, stderr=log)
            deb = glob.glob(os.path.join(debs, name + "_*.deb"))[0]
            subprocess.run(["dpkg", "-x", deb, target + ".part"], check=True)
            os.remove(deb)
            os.rename(target + ".part", target)
        with gzip.open(os.path.join(target, "usr/share/doc", name, "changelog.Debian.gz"), "rt", encoding="utf-8") as log:
            versions[name] = log.readline().split("(")[1].split(")")[0]
    return versions


def stamps(root, patterns):
    """Names of the stamps that match a pattern and no pattern after a "!"."""
    never = [p[1:] for p in patterns if p[0] == "!"]
    found = {os.path.relpath(path, root)[:-4] for p in patterns if p[0] != "!" for path in glob.glob(f"{root}/{p}.png")}
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


def load_photograph(path, pixels):
    image = Image.open(path)
    image.draft("RGB", (pixels, pixels))
    image = image.convert("RGB")
    image.thumbnail((pixels, pixels), Image.BICUBIC)
    return image


def load(debs, pixels):
    """{side: Material}, no picture's longer side above `pixels`."""
    root, todo = os.path.join(debs, TABLE["stamps"]), []  # todo: (side, list of Material, name, what the name stands for)
    for index, category in enumerate(CATEGORIES):
        for name, side in split(stamps(root, TABLE["categories"][category])).items():
            todo.append((side, "objects", name, index))
    for name, side in split(stamps(root, TABLE["unlabelled"])).items():
        todo.append((side, "strays", name, None))
    for folder, sides in TABLE["photographs"].items():
        for side, photographs in sides.items():
            todo += [(side, "photographs", f"{folder}/{name}", shows) for name, shows in photographs.items()]

    def one(job):
        _, kind, name, means = job
        if kind != "photographs":
            return Cutout(name, means, load_cutout(f"{root}/{name}.png", pixels))
        image = load_photograph(os.path.join(debs, name), pixels)
        rectangle = lambda r: tuple(v * (image.height if i % 2 else image.width) // 100 for i, v in enumerate(r))
        return Photograph(name, image, {k: rectangle(r) for k, r in means.items()})

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(one, todo))
    return {s: Material(*([m for job, m in zip(todo, made) if job[:2] == (s, k)] for k in Material._fields)) for s in SIDES}
