"""Fonts, colours and words of charts and forms, each for one side, "train" or "test"; material.json holds them.

fonts     {name: [package, regular, bold, size in percent that makes it look as large as the others]}
themes    {name: {"paper", "ink": of text, "soft": of lines and tints, "marks": of bars, lines and slices}}
charts    {title: [unit, label, label, ...]}; series: the same, labels in their order
titles, keys, names, towns: of forms; keys by the kind of their values
"""
import json, os
from collections import namedtuple
from PIL import ImageFont

SOURCES = ("train", "test")
KINDS = ("person", "place", "date", "code", "amount", "count")
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "material.json"), encoding="utf-8") as table:
    TABLE = json.load(table)
PACKAGES = sorted({font[0] for side in SOURCES for font in TABLE["fonts"][side].values()})

Theme = namedtuple("Theme", "name paper ink soft marks")  # colours: (red, green, blue)


class Font:
    """A family's regular and bold face at any size."""

    def __init__(self, name, debs, package, regular, bold, percent):
        self.name, self.percent, self.faces = name, percent, {}
        self.paths = [os.path.join(debs, package, "usr/share/fonts", path) for path in (regular, bold)]

    def face(self, pixels, bold=False):
        """Of text as large as `pixels` of an average font."""
        key = (pixels, bold)
        if key not in self.faces:  # plain layout: the same with and without libraqm
            size = round(pixels * self.percent / 100)
            self.faces[key] = ImageFont.truetype(self.paths[bold], size, layout_engine=ImageFont.Layout.BASIC)
        return self.faces[key]


def colour(text):
    return tuple(bytes.fromhex(text))


def load(debs):
    """{source: (fonts, themes)}, lists."""
    theme = lambda name, t: Theme(name, colour(t["paper"]), colour(t["ink"]), colour(t["soft"]),
                                  [colour(c) for c in t["marks"]])
    return {side: ([Font(name, debs, *font) for name, font in TABLE["fonts"][side].items()],
                   [theme(*item) for item in TABLE["themes"][side].items()]) for side in SOURCES}


def words(source):
    """All words of a side, in lower case."""
    found = []
    for part in ("charts", "series"):
        for title, (unit, *labels) in TABLE[part][source].items():
            found += [title, *labels]
    found += TABLE["titles"][source] + TABLE["towns"][source]
    for part in ("keys", "names"):
        for texts in TABLE[part][source].values():
            found += texts
    return {word.lower() for text in found for word in text.split()}
