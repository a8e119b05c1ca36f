"""Compositing: cut-outs laid into a picture so that neither edges, colours nor noise give away what was laid in.

A canvas is uint8 [height, width, 3].  Arithmetic on pixels is in integers, here and in PIL's resampling.
"""
import io, math
from collections import namedtuple
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

# rgb [h, w, 3], alpha [h, w] uint8; its top left pixel's place in the canvas.  Truth is where alpha >= 128.
Sprite = namedtuple("Sprite", "rgb alpha left top")

# What all things in one picture share.  feather, blur: radius in pixels; noise: deviation in levels; quality: JPEG's;
# light: -1..1, which way shadows fall; shade: how dark, of 255.
Look = namedtuple("Look", "feather blur noise quality light shade")


def draw_look(rng, side):
    fine = side / 256
    return Look(feather=rng.uniform(0.4, 0.8) * max(1, fine), blur=rng.uniform(0, 0.7) * fine, noise=rng.randint(0, 6),
                quality=rng.randint(70, 95), light=rng.uniform(-1, 1), shade=rng.randint(60, 150))


def sprite_of(image, feather):
    """RGBA -> Sprite at 0, 0.  The edge is softened inwards, where the cut-out has colours of its own."""
    soft = np.asarray(image.getchannel("A").filter(ImageFilter.GaussianBlur(feather))).astype(np.int32)
    return Sprite(np.asarray(image)[..., :3], np.clip(2 * soft - 255, 0, 255).astype(np.uint8), 0, 0)


def shaped(image, width, height, flip):
    """The cut-out at this size with an empty margin."""
    image = image.transpose(Image.FLIP_LEFT_RIGHT) if flip else image
    return ImageOps.expand(image.resize((max(2, width), max(2, height)), Image.BICUBIC), 2, (0, 0, 0, 0))


def frame_sides(area_side, image, limit):
    """Width and height of a box of area area_side^2 in the image's shape, no side above the limit."""
    ratio = math.sqrt(image.width / image.height)
    width, height = area_side * ratio, area_side / ratio
    shrink = min(1, limit / max(width, height))
    return round(width * shrink), round(height * shrink)


def overlap(shape, sprite):
    """Slices of the canvas and of the sprite where they meet, or None."""
    h, w = sprite.alpha.shape
    x0, y0 = max(0, sprite.left), max(0, sprite.top)
    x1, y1 = min(shape[1], sprite.left + w), min(shape[0], sprite.top + h)
    if x0 >= x1 or y0 >= y1:
        return None
    return np.s_[y0:y1, x0:x1], np.s_[y0 - sprite.top:y1 - sprite.top, x0 - sprite.left:x1 - sprite.left]


def paint_mask(ids, sprite, value):
    meet = overlap(ids.shape, sprite)
    if meet:
        ids[meet[0]][sprite.alpha[meet[1]] >= 128] = value


def moments(pixels):
    """Mean and standard deviation of each channel, in integers."""
    pixels = pixels.reshape(-1, 3).astype(np.int64)
    mean = pixels.sum(0) // len(pixels)
    return mean, [math.isqrt(int(v)) for v in ((pixels - mean) ** 2).sum(0) // len(pixels)]


def dye_of(rng, sprite, surroundings):
    """uint8 [3, 256]: colours move towards mean and spread of the surroundings', and take a tint: they tell little."""
    (own, own_spread), (near, near_spread) = moments(sprite.rgb[sprite.alpha >= 128]), moments(surroundings)
    share, levels, table = rng.randint(40, 130), np.arange(256), []  # share of 256
    for c in range(3):
        gain = 256 + share * (256 * near_spread[c] // max(own_spread[c], 8) - 256) // 256
        centre = own[c] + share * (near[c] - own[c]) // 256
        table.append(((levels - own[c]) * min(max(gain, 150), 400) // 256 + centre) * rng.randint(215, 297) // 256)
    return np.clip(table, 0, 255).astype(np.uint8)


def dyed(sprite, dye):
    return sprite._replace(rgb=np.stack([dye[c][sprite.rgb[..., c]] for c in range(3)], -1))


def lay(canvas, sprite):
    meet = overlap(canvas.shape, sprite)
    if meet:
        a = sprite.alpha[meet[1]].astype(np.int32)[..., None]
        canvas[meet[0]] = (canvas[meet[0]] * (255 - a) + sprite.rgb[meet[1]] * a + 127) // 255


def darken(canvas, shadow, shade):
    """shadow: a Sprite without colour; shade of 255 makes black."""
    meet = overlap(canvas.shape, shadow)
    if meet:
        keep = 255 - shadow.alpha[meet[1]].astype(np.int32)[..., None] * shade // 255
        canvas[meet[0]] = (canvas[meet[0]] * keep + 127) // 255


def cast_on_ground(sprite, light):
    """The silhouette laid down on the ground away from the light, soft."""
    h, w = sprite.alpha.shape
    long, blur = max(3, h // 3), max(1, h // 24)
    lean, pad = int(abs(light) * h // 2), 3 * blur
    # Output pixel (x, y) shows the silhouette at x moved back by the lean, and at a height of 3 per row.
    slope = light * h / 2 / long
    source = (1, slope, -pad - (lean if light < 0 else 0) - slope * (pad + long), 0, h / long, -pad * h / long)
    image = Image.fromarray(sprite.alpha).transform((w + lean + 2 * pad, long + 2 * pad), Image.AFFINE, source,
                                                    Image.BILINEAR).filter(ImageFilter.GaussianBlur(blur))
    left = sprite.left - pad - (lean if light < 0 else 0)
    return Sprite(None, np.asarray(image), left, sprite.top + h - long - pad)


def cast_behind(sprite, light):
    """A soft shadow on what is close behind."""
    h, w = sprite.alpha.shape
    blur = max(1, min(h, w) // 12)
    image = ImageOps.expand(Image.fromarray(sprite.alpha), 3 * blur).filter(ImageFilter.GaussianBlur(blur))
    return Sprite(None, np.asarray(image), sprite.left - 3 * blur + round(light * blur), sprite.top - 2 * blur)


def crop(rng, image, rectangle, size, smallest=0.5):
    """A part of the rectangle in the shape of `size`, at least `smallest` of what fits, at that size."""
    left, top, right, bottom = rectangle
    fits = min((right - left) / size[0], (bottom - top) / size[1]) * rng.uniform(smallest, 1)
    w, h = max(1, int(fits * size[0])), max(1, int(fits * size[1]))
    x, y = rng.randint(left, right - w), rng.randint(top, bottom - h)
    part = image.resize(size, Image.BICUBIC, (x, y, x + w, y + h))
    return part.transpose(Image.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def rag(rng, photograph, pixels):
    """A piece of a photograph with a smooth outline: what has a cut edge but is no object.  RGBA."""
    waves = [(k, rng.uniform(0, 0.5 / k), rng.uniform(0, 2 * math.pi)) for k in (2, 3, 4)]
    radius = lambda t: 1 + sum(a * math.cos(k * t + p) for k, a, p in waves)
    points = [(radius(t) * math.cos(t), radius(t) * math.sin(t)) for t in (2 * math.pi * i / 48 for i in range(48))]
    reach = max(max(abs(x), abs(y)) for x, y in points)
    outline = Image.new("L", (2 * pixels, 2 * pixels))
    place = lambda v: round(pixels * (1 + v / reach))
    ImageDraw.Draw(outline).polygon([(place(x), place(y)) for x, y in points], 255)
    image = crop(rng, photograph.image, (0, 0, *photograph.image.size), (pixels, pixels), 0.3).convert("RGBA")
    image.putalpha(outline.reduce(2))
    return image.crop(image.getchannel("A").getbbox())


def finished(rng, canvas, look):
    """Lens and sensor, the same for all that is in the picture; then JPEG.  Bytes."""
    canvas = np.asarray(Image.fromarray(canvas).filter(ImageFilter.GaussianBlur(look.blur))).astype(np.int32)
    if look.noise:
        parts = np.frombuffer(rng.randbytes(4 * canvas.size), np.uint8).reshape(4, *canvas.shape)
        canvas += (parts.sum(0, dtype=np.int32) - 510) * look.noise // 148  # four uniform bytes: deviation 148
    out = io.BytesIO()
    Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=look.quality)
    return out.getvalue()
