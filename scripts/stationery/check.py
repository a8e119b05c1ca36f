"""Whether a folder of scripts/forms agrees with itself.  Answers are derived again, from the words of the questions and
from what stands in the pictures; nothing here is shared with what made them but the tables of words."""
import json, os, re, sys
from fractions import Fraction
import numpy as np
from PIL import Image
from scenery.check import Faults, check_files
from stationery import drawn, material, rows

SIDES = {"train": "train", "seen": "train", "test": "test"}


def with_specs(specs, questions):
    """(spec, question) pairs."""
    by_id = {spec["id"]: spec for spec in specs}
    return [(by_id[q["id"].rpartition("-")[0]], q) for q in questions]


def figures(spec):
    """Numbers that a chart shows."""
    if spec["shows"] == "values":
        return spec["values"]
    total = sum(map(Fraction, spec["values"]))
    return [str(100 * Fraction(v) / total) for v in spec["values"]]


def shown(spec, kind):
    """What the picture has that might answer a question of this type."""
    if spec["kind"] == "form":
        return [value for _, value, _ in spec["fields"]]
    return spec["labels"] if kind in ("chart-largest", "chart-smallest") else figures(spec)


def derive(spec, text):
    """The answer to a question's words; None where they say nothing that is known."""
    if spec["kind"] == "form":
        asked = re.fullmatch('What is the entry for "(.+)"\\?', text)
        return {key: value for key, value, _ in spec["fields"]}.get(asked[1]) if asked else None
    table = {label: Fraction(value) for label, value in zip(spec["labels"], spec["values"])}
    number = lambda f: str(int(f)) if f.denominator == 1 else str(float(f))
    if asked := re.fullmatch("What is the value (?:of|in) (.+)\\?", text):
        return number(table[asked[1]])
    if asked := re.fullmatch("What is the difference between (.+) and (.+)\\?", text):
        return number(abs(table[asked[1]] - table[asked[2]]))
    if asked := re.fullmatch("What is the share of (.+) in percent\\?", text):
        return number(100 * table[asked[1]] / sum(table.values()))
    if asked := re.fullmatch("Which label has the (largest|smallest) value\\?", text):
        wanted = max(table.values()) if asked[1] == "largest" else min(table.values())
        found = [label for label, value in table.items() if value == wanted]
        return found[0] if len(found) == 1 else None
    return None


def check_written(spec, image, faults):
    """Whether the text is inside, apart and can be seen, and whether all of the spec is written."""
    pixels = np.asarray(image.convert("L")).astype(int)
    height, width = pixels.shape
    boxes = [box for _, box in spec["written"]]
    for i, (text, (x0, y0, x1, y1)) in enumerate(spec["written"]):
        inside = 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        faults.unless(inside, f"{spec['id']}: '{text}' is not inside")
        seen = inside and np.ptp(pixels[y0:y1, x0:x1]) >= 80
        faults.unless(seen, f"{spec['id']}: '{text}' cannot be seen")
        meet = [b for b in boxes[:i] if x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1]
        faults.unless(not meet, f"{spec['id']}: '{text}' is over another text")
    texts = [text for text, _ in spec["written"]]
    if spec["kind"] == "form":
        wanted = [t for key, value, _ in spec["fields"] for t in (key, value)]
        texts = [text.removesuffix(":") for text in texts]
    else:
        wanted = list(spec["labels"])
        if not spec["layout"].endswith("axis"):
            wanted += [f + "%" * (spec["shows"] == "percent") for f in figures(spec)]
    for text in {spec["title"], *wanted}:
        faults.unless(text in texts, f"{spec['id']}: '{text}' is not written")


def check_side(folder, side, specs, questions, parameters, faults):
    source = SIDES[side]
    words, count = material.words(source), parameters["train" if side == "train" else "test"]
    faults.unless(len(specs) == count, f"{side}: {len(specs)} pictures, not {count}")
    for spec in specs:
        with Image.open(os.path.join(folder, side, "pictures", spec["id"].rpartition("-")[2] + ".png")) as image:
            faults.unless(image.size == (parameters["size"],) * 2, f"{spec['id']}: picture of {image.size}")
            check_written(spec, image, faults)
            if spec["kind"] != "form":
                drawn.check(spec, np.asarray(image).astype(int), faults)
        for part in ("fonts", "themes"):
            name = spec[part[:-1]]
            faults.unless(name in material.TABLE[part][source], f"{spec['id']}: {name} is not for {source}")
        said = [spec["title"], *spec.get("labels", []), *(key for key, _, _ in spec.get("fields", []))]
        said += [value for _, value, kind in spec.get("fields", []) if kind in ("person", "place")]
        strange = {word.lower() for text in said for word in text.split()} - words
        faults.unless(not strange, f"{spec['id']}: {sorted(strange)} not for {source}")
    for spec, q in with_specs(specs, questions):
        again = derive(spec, q["question"])
        faults.unless([again] == q["answers"], f"{q['id']}: the answer is {again}, not {q['answers']}")


def check_apart(specs, faults):
    shared = material.words("train") & material.words("test")
    faults.unless(not shared, f"words of both sides: {sorted(shared)}")
    for part in ("font", "theme", "layout"):
        of = {side: {spec[part] for spec in specs[side]} for side in specs}
        shared = of["test"] & (of["train"] | of["seen"])
        faults.unless(not shared, f"{part}s of both sides: {sorted(shared)}")


LOW = 0.1  # most that may come of not looking, by task, beside chance


def check_blind(folder, faults):
    with open(os.path.join(folder, "blind.json")) as file:
        found = json.load(file)
    for side in ("seen", "test"):
        for task in ("chartqa", "docvqa"):
            score, count = found[side][task]["by_question"], found[side][task]["questions"]
            most = LOW + 3 * (LOW * (1 - LOW) / count) ** 0.5
            faults.unless(score <= most, f"{side}: {score} of {task} without looking")


def check(folder):
    """0 where all agrees; else 1, and what does not is printed."""
    try:
        with open(os.path.join(folder, "manifest.json")) as file:
            manifest = json.load(file)
    except OSError as problem:
        sys.exit(f"{folder}: {problem.strerror}: manifest.json")
    if not manifest:
        sys.exit(f"{folder}: was not finished; run scripts/forms again")
    faults = Faults()
    if check_files(folder, manifest, faults):
        read = lambda name: {side: rows.read(os.path.join(folder, side, name + ".jsonl")) for side in SIDES}
        specs, questions = read("specs"), read("questions")
        for side in SIDES:
            check_side(folder, side, specs[side], questions[side], manifest["parameters"], faults)
        check_apart(specs, faults)
        taught = rows.read(os.path.join(folder, "train/conversations.jsonl"))
        asked = [rows.conversation(q) for q in questions["train"]]
        faults.unless(taught == asked, "conversations.jsonl is not questions.jsonl with its answers")
        check_blind(folder, faults)
    print(f"{folder}: {len(manifest['files'])} files, {faults.count} faults")
    return 1 if faults.count else 0
