"""What each layer of an encoder is good for, beside one of random weights: from what `pe-evaluator layers` wrote."""
import html, json, re

# What a task is called in a table and in a sentence.
TASKS = {"knn_probe": ("kinds of emoji, nearest neighbours", "nearest neighbours"),
         "linear_probe": ("kinds of emoji, linear head", "the linear head"),
         "video_object_segmentation": ("objects followed through clips, J&F", "tracking"),
         "segmentation": ("classes of pixels of scenes, mIoU", "segmentation"),
         "depth": ("pixels within a quarter of the true depth, a1", "depth"),
         "detection": ("objects of scenes in boxes, AP", "detection")}
NOTES = """Kinds are Unicode's subgroups of emoji, such as “animal-bird”; their words stood in captions it was trained with,
the drawing style of these pictures in none. Random is the best layer of random weights, chance for clips the first mask
copied. On the clips the encoder is not yet a match for plain pixels: colour and position alone, followed in the same way,
reached 31.6 % when that was measured."""


def read(path):
    """[(task, curve of the trained encoder, curve of random weights)] in the order of the file."""
    tasks = {}
    for curve in json.load(open(path))["curves"]:
        tasks.setdefault(curve["task"], []).append(curve)
    return [(task, *pair) for task, pair in tasks.items()]


def listed(parts):
    return " and ".join([", ".join(parts[:-1])] * (len(parts) > 1) + parts[-1:])


def sentence(tasks):
    name = lambda task: TASKS[task][1]
    gains = [f"{100 * (curve['best'] - random['best']):+.1f} points for {name(task)}" for task, curve, random in tasks]
    text = f"Beside random weights, best layer against best layer, training gives {listed(gains)}; its best layer is "
    last = [name(task) for task, curve, _ in tasks if curve["best_layer"] == curve["last_layer"]]
    inner = [(name(task), curve) for task, curve, _ in tasks if curve["best_layer"] != curve["last_layer"]]
    parts = [f"the last for {listed(last)}"] if last else []
    if inner:
        where = listed([f"{task} ({curve['best_layer']} of {curve['last_layer']})" for task, curve in inner])
        error = lambda curve: curve["stderr"][curve["layers"].index(curve["best_layer"])]
        small = [task for task, curve in inner if curve["best"] - curve["last"] < error(curve)]
        parts.append(f"an earlier one for {where}")
        if small:
            parts[-1] += ", by less than a standard error" + (f" for {listed(small)}" if len(small) < len(inner) else "")
    return text + " and ".join(parts) + "."


def show(path):
    tasks, percent = read(path), lambda value: f"{100 * value:8.1f}%"
    print(f"\n{'figures of the best layer':38}{'trained':>9}{'layer':>8}{'last':>9}{'random':>9}{'chance':>9}")
    for task, curve, random in tasks:
        layer = f"{curve['best_layer']} of {curve['last_layer']}"
        print(f"{TASKS[task][0]:38}{percent(curve['best'])}{layer:>8}" +
              "".join(map(percent, (curve["last"], random["best"], curve["chance"]))))
    print("\n" + sentence(tasks))


def section(path):
    """As HTML: the panels of the picture beside the JSON, a sentence, a table."""
    tasks, percent = read(path), lambda value: f"<td>{100 * value:.1f} %</td>"
    svg = open(path[:-len("json")] + "svg", encoding="utf-8").read()
    panels = re.findall(r'<svg class="panel".*?</svg>', svg, re.S)
    panels = "".join(re.sub(r' x="\S+" y="\S+" width="\S+" height="\S+"', "", panel, count=1) for panel in panels)
    for task, _, _ in tasks:
        panels = panels.replace(f">{task}<", f">{html.escape(TASKS[task][0])}<")
    style = re.search(r"<style>(.*?)</style>", svg, re.S).group(1)
    style = "".join(f".panels {rule}}}" for rule in style.split("}")[:-1])
    rows = ""
    for task, curve, random in tasks:
        rows += f"<tr><th>{html.escape(TASKS[task][0])}</th>{percent(curve['best'])}"
        rows += f"<td>{curve['best_layer']} of {curve['last_layer']}</td>"
        rows += "".join(map(percent, (curve["last"], random["best"], curve["chance"]))) + "</tr>"
    return f"""<section><h2>What each of its layers knows</h2><p>{html.escape(sentence(tasks))}</p>
<p class="legend"><span class="solid">trained</span><span class="dashed">random weights</span><small>shaded: one standard
error to both sides</small></p><style>{style}</style><div class="panels">{panels}</div>
<table class="figures"><tr><th></th><th>best</th><th>layer</th><th>last</th><th>random</th><th>chance</th></tr>{rows}</table>
<p class="note">{NOTES}</p></section>"""
