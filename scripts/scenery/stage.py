"""Still scenes: a floor in perspective, a wall behind it, objects that stand on the floor, and the truth of each pixel.

The camera looks along the floor from 1.5 m, its horizon moves from picture to picture.  Row v of the floor is
    focal * 1500 / (v + 1/2 - horizon)  mm away, focal = 13/16 of the shorter side in pixels,
up to the wall, whose depth is the same everywhere.  An object is upright at one depth, and touches the floor there.
How large it appears is drawn independently of its depth, its category and its place: where it stands tells its depth.
"""
import math
from collections import namedtuple
import numpy as np
from PIL import Image
from scenery import picture
from scenery.material import CLASSES, by_category

CAMERA, NEAREST_WALL, FARTHEST_WALL = 1500, 4000, 9500  # mm
SMALLEST, LARGEST = 0.08, 0.64   # root of the area of an object's box, of the shorter side
LABELLED, STRAYS, RAGS = (2, 8), (1, 4), (0, 2)  # how many are laid; hidden ones are taken out again
VISIBLE, INSIDE = 0.2, 0.6  # least share of an object that nothing hides; that is within the picture

Thing = namedtuple("Thing", "cutout sprite depth")
# image: JPEG; ids [h, w] uint8: i + 1 where things[i] is seen; depth [h, w] uint16 mm; semantic [h, w] uint8: CLASSES
# says of what; shares: of each thing that is seen; photographs: names
Scene = namedtuple("Scene", "image ids depth semantic things shares photographs")


def log_uniform(rng, low, high):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


class Floor:
    """Where rows of the picture meet the floor.  Lengths in sixteenths of a pixel."""

    def __init__(self, rng, size):
        side = min(size)
        self.focal, self.horizon, self.height = 13 * side, rng.randint(2 * size[1], 7 * size[1]), size[1]
        self.wall = rng.randint(NEAREST_WALL, FARTHEST_WALL)
        self.end = min(size[1], self.row(self.wall) + 1)  # first row of the floor

    def depth(self, row):
        return self.focal * CAMERA // max(1, 16 * row + 8 - self.horizon)

    def row(self, depth):
        return (self.focal * CAMERA // depth + self.horizon - 8) // 16


def texture_of(rng, photograph, kind, pixels):
    """Pyramid of uint8 [h, w, 3], each half of the one before."""
    left, top, right, bottom = photograph.shows[kind]
    image = photograph.image.crop((left, top, right, bottom))
    for turn in (Image.FLIP_LEFT_RIGHT, Image.TRANSPOSE):
        image = image.transpose(turn) if rng.random() < 0.5 else image
    image.thumbnail((2 * pixels, 2 * pixels), Image.BICUBIC)
    levels = [image]
    while min(levels[-1].size) > 4 and len(levels) < 6:
        levels.append(levels[-1].reduce(2))
    return [np.asarray(level) for level in levels]


def looked_up(texture, x, y):
    """Bilinear; x, y int64 in sixteenths of a texel, mirrored for ever."""
    def place(v, n):
        folded = lambda i: np.minimum(i % (2 * n), 2 * n - 1 - i % (2 * n))
        return folded(v >> 4), folded((v >> 4) + 1), (v & 15)[..., None]
    (x0, x1, fx), (y0, y1, fy) = place(x, texture.shape[1]), place(y, texture.shape[0])
    upper = texture[y0, x0] * (16 - fx) + texture[y0, x1] * fx
    lower = texture[y1, x0] * (16 - fx) + texture[y1, x1] * fx
    return ((upper * (16 - fy) + lower * fy + 128) >> 8).astype(np.uint8)


def paint_floor(rng, canvas, floor, pyramid):
    height, width = canvas.shape[:2]
    across = rng.randint(1500, 4000)  # mm that the texture spans
    shift_x, shift_y = rng.randrange(20000), rng.randrange(20000)
    columns = 2 * np.arange(width, dtype=np.int64) + 1 - width
    for row in range(floor.end, height):
        far = floor.depth(row)
        texels = 16 * far * pyramid[0].shape[1] // (floor.focal * across // 16)  # sixteenths of a texel for a pixel
        level = min(len(pyramid) - 1, max(0, (texels * 3 // 32).bit_length() - 1))
        texture = pyramid[level]
        scale = 16 * texture.shape[1]
        x = (columns * (8 * far) // floor.focal + shift_x) * scale // across
        y = np.full(width, (far + shift_y) * scale // across)
        canvas[row] = looked_up(texture, x, y)


def build(rng, material, size):
    """An empty stage: canvas, depth, semantic, floor, names of photographs."""
    floor = Floor(rng, size)
    kinds = {}
    for photograph in material.photographs:
        for kind in photograph.shows:
            kinds.setdefault(kind, []).append(photograph)
    ground = rng.choice(sorted(kinds.keys() & {"brick", "grass", "ground", "pavement", "water"}))
    wall = rng.choice(["scenery", "scenery", *sorted(kinds.keys() & {"brick", "foliage", "sky"})])
    under, behind = rng.choice(kinds[ground]), rng.choice(kinds[wall])
    canvas = np.empty((size[1], size[0], 3), np.uint8)
    canvas[:floor.end] = np.asarray(picture.crop(rng, behind.image, behind.shows[wall], (size[0], floor.end)))
    paint_floor(rng, canvas, floor, texture_of(rng, under, ground, max(size)))
    depth = np.full((size[1], size[0]), floor.wall, np.uint16)
    semantic = np.full(depth.shape, 1 + CLASSES.index(wall) if wall in CLASSES else 0, np.uint8)
    semantic[floor.end:] = 1 + CLASSES.index(ground)
    for row in range(floor.end, size[1]):
        depth[row] = min(floor.wall, floor.depth(row))
    return canvas, depth, semantic, floor, [under.name, behind.name]


def posed(rng, cutout, side, extent, look):
    """The cut-out, its size log-uniform in the extent (of side), turned a little, perhaps mirrored."""
    box = picture.frame_sides(side * log_uniform(rng, *extent), cutout.image, 0.95 * side)
    image = picture.shaped(cutout.image, *box, rng.random() < 0.5)
    return picture.sprite_of(image.rotate(rng.uniform(-30, 30), Image.BICUBIC, expand=True), look.feather)


def stand(rng, floor, size, cutout, look):
    """A thing somewhere on the floor, or None where it would not be inside."""
    sprite = posed(rng, cutout, min(size), (SMALLEST, LARGEST), look)
    solid = sprite.alpha >= 128
    if not solid.any():
        return None
    foot, middle = int(solid.any(1).nonzero()[0][-1]), solid.shape[1] // 2
    near, far = floor.depth(size[1] * 17 // 16), floor.wall * 19 // 20
    for _ in range(8):
        depth = round(log_uniform(rng, near, max(near + 1, far)))
        placed = sprite._replace(left=rng.randrange(size[0]) - middle, top=floor.row(depth) - foot)
        meet = picture.overlap((size[1], size[0]), placed)
        if meet and solid[meet[1]].sum() >= INSIDE * solid.sum():
            return Thing(cutout, placed, depth)
    return None


def seen(things, shape):
    """ids; of each thing, the far ones first, the share that is seen and the number of pixels."""
    ids = np.zeros(shape, np.uint8)
    for i, thing in enumerate(things):
        picture.paint_mask(ids, thing.sprite, i + 1)
    counts = np.bincount(ids.ravel(), minlength=len(things) + 1)[1:]
    return ids, [int(c) / max(1, int((t.sprite.alpha >= 128).sum())) for c, t in zip(counts, things)], counts


def cast(rng, material, floor, size, look):
    """Things from far to near, none of a category hidden too much."""
    cutouts = [rng.choice(alike) for alike in rng.choices(by_category(material.objects), k=rng.randint(*LABELLED))]
    cutouts += rng.choices(material.strays, k=rng.randint(*STRAYS))
    for _ in range(rng.randint(*RAGS)):
        source = rng.choice(material.photographs)
        cutouts.append(material.strays[0]._replace(name=source.name, image=picture.rag(rng, source, min(size) // 2)))
    things = sorted(filter(None, (stand(rng, floor, size, c, look) for c in cutouts)), key=lambda t: -t.depth)
    while True:
        ids, shares, counts = seen(things, (size[1], size[0]))
        hidden = [(s, i) for i, (s, n) in enumerate(zip(shares, counts))
                  if things[i].cutout.category is not None and (s < VISIBLE or n < min(size) ** 2 // 1024)]
        if not hidden:
            return things, ids, shares
        del things[min(hidden)[1]]


def scene(rng, material, size):
    while True:
        look = picture.draw_look(rng, min(size))
        canvas, depth, semantic, floor, photographs = build(rng, material, size)
        things, ids, shares = cast(rng, material, floor, size, look)
        if sum(t.cutout.category is not None for t in things) >= LABELLED[0]:
            break
    for i, thing in enumerate(things):
        sprite = thing.sprite
        meet = picture.overlap(canvas.shape, sprite)
        picture.darken(canvas, picture.cast_on_ground(sprite, look.light), look.shade)
        picture.lay(canvas, picture.dyed(sprite, picture.dye_of(rng, sprite, canvas[meet[0]])))
        depth[ids == i + 1] = thing.depth
        semantic[ids == i + 1] = 0 if thing.cutout.category is None else 1 + thing.cutout.category
    return Scene(picture.finished(rng, canvas, look), ids, depth, semantic, things, shares, photographs)


def portrait(rng, material, cutout, size):
    """One object before a photograph, for labelled sets.  (JPEG, name of the photograph)"""
    side = min(size)
    look = picture.draw_look(rng, side)
    behind = rng.choice([p for p in material.photographs if "scenery" in p.shows])
    canvas = np.array(picture.crop(rng, behind.image, behind.shows["scenery"], size, 0.3))
    sprite = posed(rng, cutout, side, (0.5, 0.9), look)
    free = [whole - own for whole, own in zip(size, sprite.rgb.shape[1::-1])]
    left, top = (round(rng.uniform(-0.12 * (s - f), f + 0.12 * (s - f))) for s, f in zip(size, free))  # 12 % outside
    sprite = sprite._replace(left=left, top=top)
    meet = picture.overlap(canvas.shape, sprite)
    picture.darken(canvas, picture.cast_behind(sprite, look.light), look.shade // 2)
    picture.lay(canvas, picture.dyed(sprite, picture.dye_of(rng, sprite, canvas[meet[0]])))
    return picture.finished(rng, canvas, look), behind.name
