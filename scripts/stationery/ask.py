"""Questions about a chart or a form, each for something else, with answers that are exact."""
from collections import namedtuple
from stationery.chart import plain

Question = namedtuple("Question", "type text answer")
COUNT = 3  # of each picture


def of_chart(rng, chart):
    value = dict(zip(chart.labels, chart.values))
    one, (a, b) = rng.choice(chart.labels), rng.sample(chart.labels, 2)
    questions = {
        "value": (f"What is the value {'in' if chart.kind == 'line' else 'of'} {one}?", plain(value[one])),
        "difference": (f"What is the difference between {a} and {b}?", plain(abs(value[a] - value[b]))),
        "share": (f"What is the share of {one} in percent?", plain(100 * value[one] / sum(chart.values))),
        "largest": ("Which label has the largest value?", max(value, key=value.get)),
        "smallest": ("Which label has the smallest value?", min(value, key=value.get))}
    extreme = rng.choice(("largest", "smallest"))
    if chart.shows == "percent":
        types = ["largest", "share", "smallest"]
    elif chart.kind == "pie":
        types = sorted(rng.sample(["difference", "share", "value", extreme], COUNT))
    else:
        types = ["difference", "value", extreme]
    return [Question("chart-" + t, *questions[t]) for t in types]


def of_form(rng, form):
    """Of keys whose values have others of their kind beside them, as far as there are."""
    kinds = [field.kind for field in form.fields]
    alike = [f for f in form.fields if kinds.count(f.kind) > 1]
    asked = rng.sample(alike, COUNT) if len(alike) >= COUNT else rng.sample(form.fields, COUNT)
    return [Question("form-" + f.kind, f'What is the entry for "{f.key}"?', f.value) for f in asked]
