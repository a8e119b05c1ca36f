"""Moving clips: objects on curved paths that turn and change size, before a photograph that a camera pans over.

Two tracked objects are of one category and cross; something unlabelled passes before a tracked object and hides it
wholly for some frames, after which it is seen again.  All tracked objects are seen in the first frame.
"""
import math
from collections import namedtuple
import numpy as np
from PIL import Image
from scenery import picture
from scenery.material import by_category
from scenery.stage import log_uniform

TRACKED = (2, 4)
SMALLEST, LARGEST = 0.16, 0.38  # root of the area of an object's box, of the shorter side
FIRST_SEEN, LAST_SEEN = 0.6, 0.3  # least share that is seen of each in the first frame, of the hidden one in the last
HIDDEN = 2                      # frames at least
TRIES = 200
# The way in pixels, whether it grows, whether it turns.
MOTIONS = {"left": ((-1, 0), (0, 0)), "right": ((1, 0), (0, 0)), "up": ((0, -1), (0, 0)), "down": ((0, 1), (0, 0)),
           "nearer": ((0, 0), (1, 0)), "farther": ((0, 0), (-1, 0)), "clockwise": ((0, 0), (0, 1)),
           "anticlockwise": ((0, 0), (0, -1))}

# How a cut-out moves.  path: control points of a cubic curve in pixels; scale, angle in degrees: at the start and end.
Actor = namedtuple("Actor", "cutout image path scale angle")
# frames: JPEGs; ids: uint8 [h, w] of each, i + 1 where actors[i] is seen, the first `tracked` of them; hidden: how many
# frames show nothing of the first
Clip = namedtuple("Clip", "frames ids actors tracked hidden photograph")


def between(pair, t):
    return pair[0] + (pair[1] - pair[0]) * t


def on_curve(path, t):
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3)
    return tuple(sum(w * p[axis] for w, p in zip(weights, path)) for axis in (0, 1))


def sprite_at(actor, t, feather):
    """The actor at time t in 0..1, its middle at a fraction of a pixel."""
    x, y = on_curve(actor.path, t)
    scale, angle = between(actor.scale, t), math.radians(between(actor.angle, t))
    w, h = actor.image.size
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    reach_x = math.ceil(scale * scale * (abs(cos) * w + abs(sin) * h) / 2) + 1
    reach_y = math.ceil(scale * scale * (abs(sin) * w + abs(cos) * h) / 2) + 1
    left, top = math.floor(x) - reach_x, math.floor(y) - reach_y
    dx, dy = left - x, top - y
    source = (cos, sin, cos * dx + sin * dy + w / 2, -sin, cos, -sin * dx + cos * dy + h / 2)
    image = actor.image.transform((2 * reach_x + 1, 2 * reach_y + 1), Image.AFFINE, source, Image.BICUBIC)
    return picture.sprite_of(image, feather)._replace(left=left, top=top)


def within(rng, size, margin=0.15):
    return tuple(rng.uniform(margin * s, (1 - margin) * s) for s in size)


def actor_of(rng, cutout, size, area_side, path):
    """An actor whose image has the largest size it takes."""
    ratio = rng.uniform(1, 1.6)
    scale = (1, 1 / ratio) if rng.random() < 0.5 else (1 / ratio, 1)
    box = picture.frame_sides(area_side * math.sqrt(ratio), cutout.image, min(size))
    image = picture.shaped(cutout.image, *box, rng.random() < 0.5)
    start = rng.uniform(-25, 25)
    return Actor(cutout, image, path, scale, (start, start + rng.uniform(-60, 60)))


def crossing(rng, size, other, when):
    """A path that meets the other path at this time, from elsewhere."""
    meet = on_curve(other, when)
    while True:
        start, slack = within(rng, size, 0.05), rng.uniform(0.8, 1.2)
        if math.dist(start, other[0]) > 0.45 * min(size):
            break
    end = tuple(s + (m - s) * slack / when for s, m in zip(start, meet))
    bow = [rng.uniform(-0.1, 0.1) * s for s in size]
    along = lambda t: [s + (e - s) * t + b * math.sin(math.pi * t) for s, e, b in zip(start, end, bow)]
    path = [along(t) for t in (0, 1 / 3, 2 / 3, 1)]
    miss = [m - p for m, p in zip(meet, on_curve(path, when))]
    return [(x + miss[0], y + miss[1]) for x, y in path]


def rehearse(rng, material, size):
    """Actors from far to near; the last one hides the first."""
    side = min(size)
    groups = by_category(material.objects)
    pair = rng.sample(rng.choice([g for g in groups if len(g) > 1]), 2)
    cutouts = pair + [rng.choice(rng.choice(groups)) for _ in range(rng.randint(*TRACKED) - 2)]
    alike, actors = side * log_uniform(rng, SMALLEST, LARGEST), []  # the two that cross are of one size too
    for i, cutout in enumerate(cutouts):
        area_side = alike if i < 2 else side * log_uniform(rng, SMALLEST, LARGEST)
        path = [within(rng, size) for _ in range(4)]
        if i == 1:
            path = crossing(rng, size, actors[0].path, rng.uniform(0.3, 0.7))
        actors.append(actor_of(rng, cutout, size, area_side, path))
    rng.shuffle(actors)
    hidden = actors[0]
    stray = rng.choice(material.strays)
    if rng.random() < 0.5:
        source = rng.choice(material.photographs)
        stray = stray._replace(name=source.name, image=picture.rag(rng, source, side))
    path = crossing(rng, size, hidden.path, rng.uniform(0.35, 0.65))
    cover = 1.15 * max(hidden.image.size) * max(between(hidden.scale, t) for t in (0, 0.5, 1))
    return actors + [actor_of(rng, stray, size, min(cover, 0.6 * side), path)]


def performed(actors, size, frames, feather):
    """Of each frame: sprites; ids; (share that is seen, share within the picture) of each actor."""
    sprites, maps, shares = [], [], []
    for frame in range(frames):
        row = [sprite_at(actor, frame / (frames - 1), feather) for actor in actors]
        ids = np.zeros((size[1], size[0]), np.uint8)
        inside = []
        for i, sprite in enumerate(row):
            picture.paint_mask(ids, sprite, i + 1)
            inside.append(int((ids == i + 1).sum()))  # nothing hides the one painted last
        seen = np.bincount(ids.ravel(), minlength=len(actors) + 1)[1:]
        whole = [max(1, int((sprite.alpha >= 128).sum())) for sprite in row]
        sprites.append(row)
        maps.append(ids)
        shares.append([(int(s) / w, i / w) for s, i, w in zip(seen, inside, whole)])
    return sprites, maps, shares


def frames_hidden(shares):
    """Frames in which the first actor is in the picture and nothing of it is seen."""
    return sum(row[0][0] == 0 and row[0][1] > 0.5 for row in shares)


def fits(maps, shares):
    """Whether the clip shows what the head of this file says."""
    tracked, least = range(len(shares[0]) - 1), maps[0].size // 1024
    whole_first = all(shares[0][i][0] >= FIRST_SEEN and int((maps[0] == i + 1).sum()) >= least for i in tracked)
    mostly_seen = all(sum(row[i][0] > 0 for row in shares) > len(shares) // 2 for i in tracked)
    return whole_first and mostly_seen and frames_hidden(shares) >= HIDDEN and shares[-1][0][0] >= LAST_SEEN


def backdrop_path(rng, photograph, size):
    """(left, top, width, height) of the window over the photograph, at the start and at the end."""
    w, h = photograph.image.size
    fits_in = min(w / size[0], h / size[1])
    windows = []
    zoom = fits_in * rng.uniform(0.55, 0.8)
    for _ in range(2):
        scale = zoom * rng.uniform(0.92, 1.08)
        ww, wh = scale * size[0], scale * size[1]
        windows.append((rng.uniform(0, w - ww - 1), rng.uniform(0, h - wh - 1), ww, wh))
    return windows


def backdrop(photograph, windows, t, size):
    x, y, w, h = (between(pair, t) for pair in zip(*windows))
    return np.array(photograph.image.resize(size, Image.BICUBIC, (x, y, x + w, y + h)))


def clip(rng, material, size, frames):
    look = picture.draw_look(rng, min(size))
    for _ in range(TRIES):
        actors = rehearse(rng, material, size)
        sprites, maps, shares = performed(actors, size, frames, look.feather)
        if fits(maps, shares):
            break
    else:
        raise ValueError(f"no clip of {frames} frames came out in {TRIES} tries: more --frames may help")
    tracked = len(actors) - 1
    pictures, photograph = shot(rng, material, sprites, look, size)
    ids = [np.where(m > tracked, 0, m).astype(np.uint8) for m in maps]
    jpegs = [picture.finished(rng, p, look) for p in pictures]
    return Clip(jpegs, ids, actors, tracked, frames_hidden(shares), photograph)


def shot(rng, material, sprites, look, size):
    """Canvases of the sprites of each frame before a photograph, and its name."""
    photograph = rng.choice(material.photographs)
    windows = backdrop_path(rng, photograph, size)
    dyes = [picture.dye_of(rng, sprite, backdrop(photograph, windows, 0, size)) for sprite in sprites[0]]
    pictures = []
    for i, row in enumerate(sprites):
        canvas = backdrop(photograph, windows, i / (len(sprites) - 1), size)
        for dye, sprite in zip(dyes, row):
            picture.darken(canvas, picture.cast_behind(sprite, look.light), look.shade // 2)
            picture.lay(canvas, picture.dyed(sprite, dye))
        pictures.append(canvas)
    return pictures, photograph.name


def motion(rng, material, kind, size, frames):
    """A clip of one object whose motion is its class; JPEGs, (object, photograph).  No frame alone tells the class."""
    side, cutout = min(size), rng.choice(rng.choice(by_category(material.objects)))
    look, (dx, dy), (grow, turn) = picture.draw_look(rng, side), *MOTIONS[kind]
    box = picture.frame_sides(side * rng.uniform(0.3, 0.5), cutout.image, 0.7 * side)
    middle, way = [rng.uniform(0.35, 0.65) * s for s in size], side * rng.uniform(0.2, 0.3)
    path = [(middle[0] + way * dx * k, middle[1] + way * dy * k) for k in (-1, -1 / 3, 1 / 3, 1)]
    scale = {-1: (1, 0.5), 0: (0.75, 0.75), 1: (0.5, 1)}[grow]
    start, angle = rng.uniform(-180, 180) if turn else rng.uniform(-30, 30), turn * rng.uniform(60, 120)
    actor = Actor(cutout, picture.shaped(cutout.image, *box, rng.random() < 0.5), path, scale, (start, start + angle))
    sprites = [[sprite_at(actor, i / (frames - 1), look.feather)] for i in range(frames)]
    pictures, photograph = shot(rng, material, sprites, look, size)
    return [picture.finished(rng, p, look) for p in pictures], (cutout.name, photograph)
