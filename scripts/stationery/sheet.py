"""A sheet to draw on: shapes four times as large and reduced, so that edges are smooth; text over them as it is.

Lengths are pixels of the finished picture, from its top left corner.  What is written is kept with its box.
"""
from PIL import Image, ImageDraw

FINE = 4


def blend(a, b, share):
    """share of b, 0..1."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b))


def light(colour):
    """Luminance, 0..255."""
    return (299 * colour[0] + 587 * colour[1] + 114 * colour[2]) // 1000


def on(sheet, colour):
    """A colour of text that is seen on this one."""
    pair = sorted((sheet.theme.ink, sheet.theme.paper), key=light)
    return pair[0] if light(colour) > 140 else pair[1]


class Sheet:
    def __init__(self, size, font, theme, text):
        """size: width and height; text: how large it is."""
        self.width, self.height, self.font, self.theme, self.text = *size, font, theme, text
        self.canvas = Image.new("RGB", (FINE * self.width, FINE * self.height), theme.paper)
        self.pen = ImageDraw.Draw(self.canvas)
        self.measure = ImageDraw.Draw(Image.new("L", (1, 1)))
        self.written = []  # (text, box, where, how)
        self.marks = []  # what bars, points and slices measure
        self.cramped = False  # whether something has too little room

    def fine(self, *lengths):
        return [round(FINE * v) for v in lengths]

    def rectangle(self, x0, y0, x1, y1, fill, radius=0):
        box = self.fine(x0, y0, x1, y1)
        box[2:] = max(box[0], box[2] - 1), max(box[1], box[3] - 1)
        self.pen.rounded_rectangle(box, FINE * radius, fill)

    def rule(self, x0, y0, x1, y1, fill=None, width=1):
        """A line along one axis, its upper left edge at x0, y0."""
        self.rectangle(x0, y0, max(x1, x0 + width), max(y1, y0 + width), fill or self.theme.soft)

    def polyline(self, points, fill, width):
        self.pen.line(self.fine(*(v for p in points for v in p)), fill, round(FINE * width), "curve")

    def polygon(self, points, fill):
        self.pen.polygon(self.fine(*(v for p in points for v in p)), fill)

    def disc(self, x, y, radius, fill):
        self.pen.ellipse(self.fine(x - radius, y - radius, x + radius, y + radius), fill)

    def slice(self, x, y, radius, start, end, fill):
        """From start to end in degrees, clockwise from the right."""
        self.pen.pieslice(self.fine(x - radius, y - radius, x + radius, y + radius), start, end, fill)

    def extent(self, text, bold=False, scale=1):
        """Width of the text."""
        return self.font.face(round(self.text * scale), bold).getlength(text)

    def ascent(self, scale=1):
        """Height of capitals and figures."""
        return -self.font.face(round(self.text * scale)).getbbox("H0", anchor="ls")[1]

    def write(self, x, y, text, anchor="l", bold=False, scale=1, fill=None, halo=None):
        """y: of the base line; anchor: l, m or r, which part of the text is at x."""
        face, place = self.font.face(round(self.text * scale), bold), (round(x), round(y))
        box = self.measure.textbbox(place, text, face, anchor + "s")
        style = dict(fill=fill or self.theme.ink, font=face, anchor=anchor + "s")
        if halo:
            style.update(stroke_width=2, stroke_fill=halo)
        self.written.append((text, box, place, style))

    def fits(self):
        """Whether all that is written is inside and apart from the rest, and nothing is cramped."""
        boxes = [box for _, box, _, _ in self.written]
        inside = all(x0 >= 2 and y0 >= 2 and x1 <= self.width - 2 and y1 <= self.height - 2 for x0, y0, x1, y1 in boxes)
        gap = self.text // 3  # about a space
        apart = lambda a, b: a[2] + gap <= b[0] or b[2] + gap <= a[0] or a[3] + 1 <= b[1] or b[3] + 1 <= a[1]
        return inside and not self.cramped and all(apart(a, b) for i, a in enumerate(boxes) for b in boxes[:i])

    def finished(self):
        image = self.canvas.reduce(FINE)
        pen = ImageDraw.Draw(image)
        for text, _, place, style in self.written:
            pen.text(place, text, **style)
        return image
