"""Charts with exact values: bars, lines, pies.  Layouts of "test" are none of "train"."""
import math
from collections import namedtuple
from decimal import Decimal
from stationery.material import TABLE
from stationery.sheet import blend, on

# values: Decimal, all different; shows: "values" or, on pies, "percent"; top: the value that is as long as the plot
Chart = namedtuple("Chart", "kind layout title unit labels values shows top")
Plot = namedtuple("Plot", "left top right bottom")
STEPS, MOST = 5, 8  # of an axis; bars or points


def heading(sheet, chart):
    """Title and unit; where the rest begins."""
    y = 6 + sheet.ascent(1.15)
    sheet.write(8, y, chart.title, bold=True, scale=1.15)
    if chart.unit:
        sheet.write(8 + sheet.extent(chart.title, True, 1.15) + sheet.text // 2, y, f"({chart.unit})")
    return y + sheet.text // 2


def ticks(chart):
    return [chart.top * i / STEPS for i in range(STEPS + 1)]


def plain(number):
    """As it is written: no exponent, no zeros at the end."""
    number = number.normalize()
    return str(number.quantize(1) if number == number.to_integral_value() else number)


def level_axis(sheet, chart, first, bottom, right=False):
    """Horizontal grid with numbers, at the left or the right; the plot's rectangle."""
    texts = [plain(t) for t in ticks(chart)]
    wide = math.ceil(max(map(sheet.extent, texts))) + 6
    left, end = (8, sheet.width - 8 - wide) if right else (8 + wide, sheet.width - 8)
    plot = Plot(left, first + sheet.ascent() / 2 + 2, end, bottom)
    for i, text in enumerate(texts):
        y = plot.bottom - (plot.bottom - plot.top) * i / STEPS
        sheet.rule(plot.left, y - 0.5, plot.right, y - 0.5, sheet.theme.ink if i == 0 else None)
        edge = (plot.right + 6, "l") if right else (plot.left - 6, "r")
        sheet.write(edge[0], y + sheet.ascent() / 2, text, edge[1])
    return plot


def slots(plot, count):
    """Middles and width."""
    wide = (plot.right - plot.left) / count
    return [plot.left + wide * (i + 0.5) for i in range(count)], wide


def share(chart, value):
    return float(value / chart.top)


def columns(sheet, chart, rng, mode):
    """Upright bars; mode: where the values stand, "above", "inside" or at an "axis"."""
    first, foot = heading(sheet, chart), sheet.height - 8
    bottom = foot - sheet.ascent() - 6
    if mode == "axis":
        plot = level_axis(sheet, chart, first, bottom)
    else:
        plot = Plot(8, first + (sheet.ascent() + 6 if mode == "above" else 4), sheet.width - 8, bottom)
    middles, wide = slots(plot, len(chart.labels))
    colours = fills(sheet, rng, len(chart.labels))
    half = wide * rng.uniform(0.3, 0.4)
    for x, label, value, fill in zip(middles, chart.labels, chart.values, colours):
        y = plot.bottom - (plot.bottom - plot.top) * share(chart, value)
        sheet.rectangle(x - half, y, x + half, plot.bottom, fill)
        sheet.marks.append([round(v, 2) for v in (x - half, y, x + half, plot.bottom)])
        sheet.write(x, foot, label, "m")
        if mode == "above":
            sheet.write(x, y - 4, plain(value), "m")
        if mode == "inside":
            tall = plot.bottom - y > sheet.ascent() + 12  # else above
            sheet.cramped |= sheet.extent(plain(value)) + 6 > 2 * half
            sheet.write(x, y + 6 + sheet.ascent() if tall else y - 4, plain(value), "m",
                        fill=on(sheet, fill) if tall else None)
    sheet.rule(plot.left, plot.bottom - 0.5, plot.right, plot.bottom - 0.5, sheet.theme.ink)


def fills(sheet, rng, count):
    """One colour for all, or one for each."""
    marks = rng.sample(sheet.theme.marks, count)
    return marks if rng.random() < 0.5 else marks[:1] * count


def rows(sheet, chart, rng, mode):
    """Bars to the right; mode: values "beside" them or at an "axis" below."""
    first = heading(sheet, chart)
    left = 14 + math.ceil(max(map(sheet.extent, chart.labels)))
    if mode == "axis":
        bottom, right = sheet.height - 14 - sheet.ascent(), sheet.width - 10 - sheet.extent(plain(chart.top)) / 2
        for i, tick in enumerate(ticks(chart)):
            x = left + (right - left) * i / STEPS
            sheet.rule(x - 0.5, first + 2, x - 0.5, bottom)
            if i % 2 == 0 or sheet.width > 320:
                sheet.write(x, sheet.height - 8, plain(tick), "m")
    else:
        bottom, wide = sheet.height - 6, math.ceil(max(sheet.extent(plain(v)) for v in chart.values))
        right = sheet.width - 14 - wide
    plot = Plot(left, first + 2, right, bottom)
    tall = (plot.bottom - plot.top) / len(chart.labels)
    half = tall * rng.uniform(0.28, 0.38)
    for i, (label, value, fill) in enumerate(zip(chart.labels, chart.values, fills(sheet, rng, len(chart.labels)))):
        y, x = plot.top + tall * (i + 0.5), plot.left + (plot.right - plot.left) * share(chart, value)
        sheet.rectangle(plot.left, y - half, x, y + half, fill)
        sheet.marks.append([round(v, 2) for v in (plot.left, y - half, x, y + half)])
        sheet.write(plot.left - 6, y + sheet.ascent() / 2, label, "r")
        if mode == "beside":
            sheet.write(x + 5, y + sheet.ascent() / 2, plain(value))
    sheet.rule(plot.left - 0.5, plot.top, plot.left - 0.5, plot.bottom, sheet.theme.ink)


def line(sheet, chart, rng, mode):
    """mode: values "above" points, in "tags", at an "axis", or at an axis on the right of an "area"."""
    first, foot, fill = heading(sheet, chart), sheet.height - 8, rng.choice(sheet.theme.marks)
    bottom = foot - sheet.ascent() - 8
    if mode in ("axis", "area"):
        plot = level_axis(sheet, chart, first, bottom, right=mode == "area")
    else:
        plot = Plot(8, first + sheet.ascent() + 10, sheet.width - 8, bottom)
        sheet.rule(plot.left, plot.bottom - 0.5, plot.right, plot.bottom - 0.5, sheet.theme.ink)
    middles, _ = slots(plot, len(chart.labels))
    heights = [plot.bottom - (plot.bottom - plot.top) * share(chart, v) for v in chart.values]
    points, dot = list(zip(middles, heights)), max(3, sheet.text / 5)
    if mode == "area":
        tint = blend(sheet.theme.paper, fill, 0.35)
        sheet.polygon([(middles[0], plot.bottom), *points, (middles[-1], plot.bottom)], tint)
    sheet.polyline(points, fill, max(2, sheet.text / 7))
    sheet.marks += [[round(v, 2) for v in (x, y, plot.bottom)] for x, y in points]
    for i, (x, y) in enumerate(points):
        sheet.disc(x, y, dot, fill)
        sheet.disc(x, y, dot - 1.5, sheet.theme.paper)
        sheet.write(x, foot, chart.labels[i], "m")
        if mode in ("above", "tags"):
            beside_point(sheet, plain(chart.values[i]), x, y, heights, i, plot.bottom, fill if mode == "tags" else None)


def beside_point(sheet, text, x, y, heights, i, bottom, tag):
    """A value above its point, aside where the line goes up or down through it; below where the line comes from above
    on both sides."""
    near, rise, half = heights[max(0, i - 1):i] + heights[i + 1:i + 2], sheet.ascent(), sheet.extent(text) / 2
    below = all(h < y for h in near) and y + rise + 16 < bottom
    base = y + rise + 9 if below else y - 9
    if len(near) == 2 and min(near) < y < max(near):
        x += half if near[0] < y else -half
    if tag:
        sheet.rectangle(x - half - 4, base - rise - 3, x + half + 4, base + 3, tag, radius=3)
        sheet.write(x, base, text, "m", fill=on(sheet, tag))
    else:
        sheet.write(x, base, text, "m", halo=sheet.theme.paper)


def figure(chart, value):
    """A value as the chart shows it."""
    return plain(value) if chart.shows == "values" else plain(100 * value / sum(chart.values)) + "%"


def pie(sheet, chart, rng, mode):
    """mode: figures in the "legend", in the "slices", or in the legend of a "ring"."""
    first, count = heading(sheet, chart), len(chart.labels)
    colours = rng.sample(sheet.theme.marks, count)
    inside = mode == "slices"
    texts = [label if inside else f"{label}  {figure(chart, v)}" for label, v in zip(chart.labels, chart.values)]
    swatch = sheet.ascent()
    legend = swatch + 6 + math.ceil(max(map(sheet.extent, texts)))
    radius = min((sheet.width - legend - 26) / 2, (sheet.height - first - 12) / 2)
    x, y = 8 + radius + max(0, (sheet.width - legend - 26) / 2 - radius) / 2, (first + sheet.height - 4) / 2
    sheet.cramped |= radius < 0.22 * sheet.width
    start = rng.randint(0, 359)
    for value, fill in zip(chart.values, colours):
        end = start + 360 * float(value / sum(chart.values))
        sheet.slice(x, y, radius, start, end, fill)
        sheet.marks.append([round(start, 3), round(end, 3)])
        if inside:
            turn = math.radians((start + end) / 2)
            sheet.write(x + 0.66 * radius * math.cos(turn), y + 0.66 * radius * math.sin(turn) + swatch / 2,
                        figure(chart, value), "m", fill=on(sheet, fill))
            arc = 0.66 * radius * math.radians(end - start)
            sheet.cramped |= arc < 1.15 * sheet.extent(figure(chart, value))
        start = end
    for edge, _ in sheet.marks:
        turn = math.radians(edge)
        tip = (x + (radius + 1) * math.cos(turn), y + (radius + 1) * math.sin(turn))
        sheet.polyline([(x, y), tip], sheet.theme.paper, 1.5)
    if mode == "ring":
        sheet.disc(x, y, radius * 0.55, sheet.theme.paper)
    pitch = min(1.75 * sheet.text, (sheet.height - first - 10) / count)
    for i, (text, fill) in enumerate(zip(texts, colours)):
        base = y + (i - (count - 1) / 2) * pitch + swatch / 2
        left = sheet.width - 8 - legend
        sheet.rectangle(left, base - swatch, left + swatch, base, fill, radius=2)
        if inside:
            sheet.write(left + swatch + 6, base, text)
        else:
            sheet.write(left + swatch + 6, base, chart.labels[i])
            sheet.write(sheet.width - 8, base, figure(chart, chart.values[i]), "r")


LAYOUTS = {
    "bar": {"train": {"columns-above": (columns, "above"), "columns-axis": (columns, "axis"),
                      "rows-beside": (rows, "beside")},
            "test": {"columns-inside": (columns, "inside"), "rows-axis": (rows, "axis")}},
    "line": {"train": {"line-above": (line, "above"), "line-axis": (line, "axis")},
             "test": {"line-tags": (line, "tags"), "area-axis": (line, "area")}},
    "pie": {"train": {"pie-legend": (pie, "legend"), "pie-slices": (pie, "slices")},
            "test": {"ring-legend": (pie, "ring")}}}


def draw_values(rng, count, axis, least):
    """Different values, uniform from `least` of a limit that is drawn as well, and the plot's length; axis: multiples
    of half a step of it."""
    top = Decimal(rng.choice((10, 20, 50, 100, 200, 500, 1000, 2000, 5000)))
    if axis:
        return [top * k / (2 * STEPS) for k in rng.sample(range(1, 2 * STEPS + 1), count)], top
    unit = Decimal("0.1") if top < 50 else Decimal(1)
    values = [unit * k for k in rng.sample(range(int(top / unit * least), int(top / unit) + 1), count)]
    return values, max(values)


def draw_shares(rng, count):
    """Different percentages that sum to 100, none below 6."""
    while True:
        cuts = sorted(rng.sample(range(1, 100), count - 1))
        shares = [b - a for a, b in zip([0, *cuts], [*cuts, 100])]
        if min(shares) >= 6 and len(set(shares)) == count:
            return shares


def apart(values, top):
    """Whether largest and smallest can be told by eye."""
    ordered = sorted(values)
    return min(ordered[-1] - ordered[-2], ordered[1] - ordered[0]) * 40 >= top


def draw_labels(rng, kind, layout, labels, across):
    """As many as there is room for, or a few less; across: how many letters are as wide as the sheet."""
    if kind == "line":
        count = min(len(labels), MOST, rng.randint(4, max(4, int(across / 3))))
        first = rng.randint(0, len(labels) - count)
        return labels[first:first + count]
    most = min(6 if kind == "pie" else MOST, max(3, int(across / (3 if layout.startswith("columns") else 2.5))))
    return rng.sample(labels, rng.randint(max(3, most - 2), most))


def draw(rng, kind, source, width, text):
    """A chart that may or may not fit."""
    layout = rng.choice(list(LAYOUTS[kind][source]))
    title, (unit, *labels) = rng.choice(list(TABLE["series" if kind == "line" else "charts"][source].items()))
    labels = draw_labels(rng, kind, layout, labels, width / text)
    if kind == "pie":
        shows, factor = rng.choice(("values", "percent")), rng.choice((1, 2, 3, 4, 5, 6, 8, 12, 15, 20, 25, 50))
        values = [Decimal(factor * s) for s in draw_shares(rng, len(labels))]
        return Chart(kind, layout, title, "" if shows == "percent" else unit, labels, values, shows, sum(values))
    axis, least = layout.endswith("axis"), Decimal("0.3" if kind == "line" else "0.05")  # room for text below a point
    while True:
        values, top = draw_values(rng, len(labels), axis, least)
        if apart(values, top):
            return Chart(kind, layout, title, unit, labels, values, "values", top)


def put(sheet, chart, rng):
    source = next(s for s, layouts in LAYOUTS[chart.kind].items() if chart.layout in layouts)
    function, mode = LAYOUTS[chart.kind][source][chart.layout]
    function(sheet, chart, rng, mode)
