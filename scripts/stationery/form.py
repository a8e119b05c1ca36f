"""Forms of keys and values, in one column or two.  Several values are of one kind, so that the key decides which.
Layouts of "test" are none of "train"."""
from collections import namedtuple
from stationery.material import KINDS, TABLE
from stationery.sheet import blend, on

Form = namedtuple("Form", "layout title fields")
Field = namedtuple("Field", "key value kind")
Layout = namedtuple("Layout", "columns pitch bold write")  # pitch: height of a field in heights of text; bold: values
MARGIN, GAP = 10, 14  # at the sides; between columns

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without I and O, which look like figures
# How values are written; on one form all of a kind alike.
WAYS = {"date": {"train": ("{0} {1} {2}", "{0}-{1}-{2}"), "test": ("{1} {0} '{2}", "{0}/{1}/{2}")},
        "code": {"train": ("{0}{1} {2}", "{0}-{2}{1}"), "test": ("{2}-{0}{1}", "{0}{2}{1}")},
        "amount": {"train": ("${0}.{1}",), "test": ("£{0}.{1}",)}}


def write_line(sheet, field, left, base, right, bold):
    """Key: value, a rule below."""
    sheet.write(left, base, field.key + ":")
    sheet.write(left + sheet.extent(field.key + ":") + sheet.text // 2, base, field.value, bold=bold)
    sheet.rule(left, base + sheet.text // 2, right, base + sheet.text // 2)


def write_aligned(sheet, field, left, base, right, bold):
    """Keys end where values begin."""
    middle = left + (right - left) // 2
    sheet.write(middle - sheet.text // 3, base, field.key + ":", "r")
    sheet.write(middle + sheet.text // 3, base, field.value, bold=bold)


def write_table(sheet, field, left, base, right, bold):
    """Cells, those of keys tinted."""
    middle, top = left + (right - left) // 2, base - round(1.35 * sheet.text)
    bottom = top + round(LAYOUTS["test"]["table"].pitch * sheet.text)
    sheet.rectangle(left, top, middle, bottom, sheet.theme.soft)
    for x0, y0, x1, y1 in ((left, top, right, top), (left, bottom, right, bottom), (left, top, left, bottom),
                           (middle, top, middle, bottom), (right - 1, top, right - 1, bottom)):
        sheet.rule(x0, y0, x1, y1, blend(sheet.theme.soft, sheet.theme.ink, 0.4))
    sheet.write(left + sheet.text // 2, base, field.key)
    sheet.write(middle + sheet.text // 2, base, field.value, bold=bold)


def write_stacked(sheet, field, left, base, right, bold):
    """The key over its value, a rule below."""
    sheet.write(left, base - round(1.25 * sheet.text), field.key, fill=blend(sheet.theme.paper, sheet.theme.ink, 0.72))
    sheet.write(left, base, field.value, bold=bold)
    sheet.rule(left, base + sheet.text // 2, right, base + sheet.text // 2)


def write_dotted(sheet, field, left, base, right, bold):
    """Dots lead from the key to the value at the right edge."""
    sheet.write(left, base, field.key)
    sheet.write(right, base, field.value, "r", bold=bold)
    x, end = left + sheet.extent(field.key) + sheet.text // 2, right - sheet.extent(field.value, bold) - sheet.text // 2
    while x < end:
        sheet.disc(x, base - 1, 0.9, blend(sheet.theme.paper, sheet.theme.ink, 0.5))
        x += 5


LAYOUTS = {"train": {"lines": Layout(1, 1.75, False, write_line), "aligned": Layout(1, 1.6, True, write_aligned),
                     "pairs": Layout(2, 1.75, True, write_line)},
           "test": {"table": Layout(1, 1.9, False, write_table), "dotted": Layout(1, 1.6, False, write_dotted),
                    "stacked": Layout(2, 3.2, True, write_stacked)}}


def draw_value(rng, source, kind, ways):
    figures = lambda n: "".join(rng.choices("0123456789", k=n))
    if kind == "person":
        return f"{rng.choice(TABLE['names'][source]['first'])} {rng.choice(TABLE['names'][source]['last'])}"
    if kind == "place":
        return rng.choice(TABLE["towns"][source])
    if kind == "date":
        return ways[kind].format(rng.randint(1, 28), rng.choice(MONTHS), figures(2))
    if kind == "code":
        return ways[kind].format(rng.choice(LETTERS), rng.choice(LETTERS), figures(4))
    if kind == "amount":
        return ways[kind].format(rng.randint(10, 9999), figures(2))
    return str(rng.randint(100, 9999))


def room(sheet, layout):
    """Height of the title's band; rows below it; width of a column."""
    band = round(2.2 * sheet.text)
    rows = int((sheet.height - band - sheet.text) / (layout.pitch * sheet.text))
    return band, rows, (sheet.width - 2 * MARGIN - GAP * (layout.columns - 1)) // layout.columns


def fits(sheet, layout, field, wide):
    key, value = sheet.extent(field.key + ":"), sheet.extent(field.value, layout.bold)
    if layout.write is write_stacked:
        return max(key, value) <= wide
    if layout.write in (write_aligned, write_table):
        return max(key, value) + sheet.text <= wide / 2
    return key + value + sheet.text * (2 if layout.write is write_dotted else 0.5) <= wide


def draw(rng, source, sheet):
    """A form that fills most of the sheet, or None where too few fields would fit."""
    name, title = rng.choice(list(LAYOUTS[source])), rng.choice(TABLE["titles"][source])
    layout = LAYOUTS[source][name]
    _, rows, wide = room(sheet, layout)
    least, most = max(3, rows * layout.columns * 3 // 4), max(3, rows * layout.columns)
    count = rng.randint(least, most)
    ways = {kind: rng.choice(table[source]) for kind, table in WAYS.items()}
    kinds = rng.sample(KINDS, min(len(KINDS), 2 + count // 5))
    pool = [(key, kind) for kind in kinds for key in TABLE["keys"][source][kind]]
    rng.shuffle(pool)
    fields = []
    for key, kind in pool:
        field = Field(key, draw_value(rng, source, kind, ways), kind)
        if len(fields) < count and fits(sheet, layout, field, wide) and field.value not in [f.value for f in fields]:
            fields.append(field)
    return Form(name, title, fields) if len(fields) >= least else None


def put(sheet, form, rng):
    layout = next(layouts[form.layout] for layouts in LAYOUTS.values() if form.layout in layouts)
    band, rows, wide = room(sheet, layout)
    fill = rng.choice([*sheet.theme.marks, sheet.theme.paper])
    sheet.rectangle(0, 0, sheet.width, band, fill)
    plain = fill == sheet.theme.paper
    if plain:
        sheet.rule(MARGIN, band - 2, sheet.width - MARGIN, band, sheet.theme.ink, 2)
    sheet.write(MARGIN, (band + sheet.ascent(1.25)) // 2, form.title, bold=True, scale=1.25,
                fill=None if plain else on(sheet, fill))
    pitch = round(layout.pitch * sheet.text)
    used = -(-len(form.fields) // layout.columns)
    slack = min(sheet.text // 2, (sheet.height - band - used * pitch) // (used + 1))
    for i, field in enumerate(form.fields):
        left = MARGIN + i // used * (wide + GAP)
        base = band + (i % used + 1) * pitch + slack
        layout.write(sheet, field, left, base, left + wide, layout.bold)
