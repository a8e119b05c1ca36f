"""Whether a chart shows the values that it is said to show: measured in its pixels and from where its labels stand."""
import numpy as np

SLACK = 3  # pixels
PART = 0.03  # of a pie: its edges, and text in its slices


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def at(pixels, x, y):
    """The colour of the pixel that this point is in."""
    return pixels[int(y), int(x)]


def count_like(pixels, colour):
    return int((abs(pixels - colour).max(-1) <= 2).sum())


def near(spec, a, b):
    """Whether text with its centre at a stands at b: letters and figures are not all as high."""
    return abs(a - b) <= SLACK + 0.15 * spec["text"]


def axis_of(spec, across):
    """What maps a value to its place by the numbers that stand at the axis; None where there are none."""
    if not spec["layout"].endswith("axis"):
        return None
    ticks = {float(text): centre(box)[0 if across else 1] for text, box in spec["written"] if text[0].isdigit()}
    scale = (ticks[max(ticks)] - ticks[0]) / max(ticks)
    return lambda value: ticks[0] + scale * float(value)


def check_lengths(spec, lengths, whole, slack, faults):
    """Whether they are in proportion to the values; whole: of lengths and values what gives the scale."""
    values = [float(v) for v in spec["values"]]
    scale = whole(lengths) / whole(values)
    for label, value, length in zip(spec["labels"], values, lengths):
        right = abs(length - scale * value) <= slack
        faults.unless(right, f"{spec['id']}: {label} is {length:.0f} pixels large, not {scale * value:.0f}")


def check_bars(spec, pixels, boxes, faults):
    across = spec["layout"].startswith("rows")
    axis, lengths = axis_of(spec, across), []
    for label, value, (x0, y0, x1, y1) in zip(spec["labels"], spec["values"], spec["marks"]):
        x, y = centre(boxes[label])
        beside = near(spec, y, (y0 + y1) / 2) if across else near(spec, x, (x0 + x1) / 2)
        faults.unless(beside, f"{spec['id']}: {label} does not stand at its bar")
        edge = pixels[int(y0) + 1] if across else pixels[:, int(x0) + 1]  # no text of the bar comes so near
        lengths.append(count_like(edge, at(pixels, x0 + 2, y1 - 2)))
        if axis:
            ends = near(spec, axis(value), x1 if across else y0)
            faults.unless(ends, f"{spec['id']}: {label} does not end at {value}")
    check_lengths(spec, lengths, max, SLACK, faults)  # the count of each is a little short, by the same


def check_points(spec, pixels, boxes, faults):
    axis, paper = axis_of(spec, False), pixels[-1, 0]
    ring = max(3, spec["text"] / 5) - 0.7  # radius
    for label, value, (x, y, _) in zip(spec["labels"], spec["values"], spec["marks"]):
        faults.unless(near(spec, centre(boxes[label])[0], x), f"{spec['id']}: {label} does not stand below its point")
        around = [at(pixels, x + dx, y + dy) for dx, dy in ((-ring, 0), (ring, 0), (0, -ring), (0, ring))]
        away = lambda colour: abs(colour - paper).max()
        hollow = 2 * away(at(pixels, x, y)) < max(map(away, around))
        faults.unless(hollow, f"{spec['id']}: no point at {label}")
        if axis:
            faults.unless(near(spec, axis(value), y), f"{spec['id']}: {label} is not at {value}")
    check_lengths(spec, [zero - y for _, y, zero in spec["marks"]], max, SLACK, faults)


def check_slices(spec, pixels, boxes, faults):
    """Pixels of the colour that stands before each label; the swatches themselves are all of one size."""
    swatches = [at(pixels, boxes[label][0] - 10, centre(boxes[label])[1]) for label in spec["labels"]]
    counts = [count_like(pixels, colour) for colour in swatches]
    check_lengths(spec, counts, sum, PART * sum(counts), faults)


def check(spec, pixels, faults):
    """pixels [h, w, 3] int."""
    faults.unless(len(spec["marks"]) == len(spec["values"]), f"{spec['id']}: marks are not as many as values")
    boxes = {text: box for text, box in spec["written"]}
    {"bar": check_bars, "line": check_points, "pie": check_slices}[spec["kind"]](spec, pixels, boxes, faults)
