#!/usr/bin/env python3
"""common/serve/prompts/{templates,classes}.json: published templates and class names, from clip-benchmark 1.6.2 (PyPI, MIT; its files are
parsed, nothing of it runs) and, where that has none, from the lists below.

    python scripts/reference/prompts.py          (needs clip-benchmark==1.6.2, without its dependencies)"""
import ast
import importlib.util
import json
import pathlib
import re

OUT = pathlib.Path(__file__).resolve().parents[2] / "common/serve/prompts"
PACKAGE = pathlib.Path(importlib.util.find_spec("clip_benchmark").submodule_search_locations[0]) / "datasets"

# OpenAI's CLIP, data/prompts.md (MIT), commit 04f4dc2: Kinetics700 and UCF101.  PE's files count 28 for K400, K600 and K700 and 48 for
# UCF101 and HMDB51.
WHAT = ["photo", "video", "example", "demonstration"]
VERBS = ["", "using ", "doing ", "during ", "performing ", "practicing "]
KINETICS = [f"a {w} of {p}{{c}}." for w in WHAT for p in [""] + ["a person " + v for v in VERBS]]
UCF101 = [f"a {w} of {p} person {v}{{c}}." for v in VERBS for p in ["a", "the"] for w in WHAT]
UCF101_CLASSES = """Apply Eye Makeup|Apply Lipstick|Archery|Baby Crawling|Balance Beam|Band Marching|Baseball Pitch|Basketball|Basketball Dunk|
Bench Press|Biking|Billiards|Blow Dry Hair|Blowing Candles|Body Weight Squats|Bowling|Boxing Punching Bag|Boxing Speed Bag|Breast Stroke|
Brushing Teeth|Clean And Jerk|Cliff Diving|Cricket Bowling|Cricket Shot|Cutting In Kitchen|Diving|Drumming|Fencing|Field Hockey Penalty|
Floor Gymnastics|Frisbee Catch|Front Crawl|Golf Swing|Haircut|Hammer Throw|Hammering|Hand Stand Pushups|Handstand Walking|Head Massage|
High Jump|Horse Race|Horse Riding|Hula Hoop|Ice Dancing|Javelin Throw|Juggling Balls|Jump Rope|Jumping Jack|Kayaking|Knitting|Long Jump|
Lunges|Military Parade|Mixing|Mopping Floor|Nunchucks|Parallel Bars|Pizza Tossing|Playing Cello|Playing Daf|Playing Dhol|Playing Flute|
Playing Guitar|Playing Piano|Playing Sitar|Playing Tabla|Playing Violin|Pole Vault|Pommel Horse|Pull Ups|Punch|Push Ups|Rafting|
Rock Climbing Indoor|Rope Climbing|Rowing|Salsa Spin|Shaving Beard|Shotput|Skate Boarding|Skiing|Skijet|Sky Diving|Soccer Juggling|
Soccer Penalty|Still Rings|Sumo Wrestling|Surfing|Swing|Table Tennis Shot|Tai Chi|Tennis Swing|Throw Discus|Trampoline Jumping|Typing|
Uneven Bars|Volleyball Spiking|Walking With Dog|Wall Pushups|Writing On Board|Yo Yo""".replace("\n", "").split("|")

# ObjectNet 1.0, mappings/objectnet_to_imagenet_1k.json: the classes that ImageNet-1k has too; and the folders whose names are not their
# labels' (mappings/folder_to_objectnet_label.json).  As kept in mlfoundations/wise-ft (MIT), commit 4639a39.
OBJECTNET = """Alarm clock|Backpack|Banana|Band Aid|Basket|Bath towel|Beer bottle|Bench|Bicycle|Binder (closed)|Bottle cap|Bread loaf|Broom|
Bucket|Butcher's knife|Can opener|Candle|Cellphone|Chair|Clothes hamper|Coffee/French press|Combination lock|Computer mouse|Desk lamp|
Dishrag or hand towel|Doormat|Dress shoe (men)|Drill|Drinking Cup|Drying rack for plates|Envelope|Fan|Frying pan|Dress|Hair dryer|Hammer|
Helmet|Iron (for clothes)|Jeans|Keyboard|Ladle|Lampshade|Laptop (open)|Lemon|Letter opener|Lighter|Lipstick|Match|Measuring cup|Microwave|
Mixing / Salad Bowl|Monitor|Mug|Nail (fastener)|Necklace|Orange|Padlock|Paintbrush|Paper towel|Pen|Pill bottle|Pillow|Pitcher|Plastic bag|
Plate|Plunger|Pop can|Portable heater|Printer|Remote control|Ruler|Running shoe|Safety pin|Salt shaker|Sandal|Screw|Shovel|Skirt|
Sleeping bag|Soap dispenser|Sock|Soup Bowl|Spatula|Speaker|Still Camera|Strainer|Stuffed animal|Suit jacket|Sunglasses|Sweater|
Swimming trunks|T-shirt|TV|Teapot|Tennis racket|Tie|Toaster|Toilet paper roll|Trash bin|Tray|Umbrella|Vacuum cleaner|Vase|Wallet|Watch|
Water bottle|Weight (exercise)|Weight scale|Wheel|Whistle|Wine bottle|Winter glove|Wok""".replace("\n", "").split("|")
OTHER_FOLDERS = {"Bath towel": "full_sized_towel", "Dishrag or hand towel": "hand_towel_or_rag", "Drying rack for plates": "drying_rack_for_dishes"}
OBJECTNET_BORDER = 2  # pixels of red that frame each picture (objectnet.dev)


def folder(label):
    return OTHER_FOLDERS.get(label, "_".join(re.sub("[()']", "", label).replace("/", " ").lower().split()))


def builder_lists():
    """Lists and sets of wnids in builder.py, by the names they are given."""
    found = {}
    for node in ast.walk(ast.parse((PACKAGE / "builder.py").read_text())):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and "ids" in node.targets[0].id:
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                pass
    return found


def write(name, value):
    """Each template, name or pair a line."""
    lines = []
    for key, v in value.items():
        head = f"  {json.dumps(key)}: "
        if isinstance(v, list):
            lines.append(head + "[\n" + ",\n".join("    " + json.dumps(x, ensure_ascii=False) for x in v) + "\n  ]")
        elif isinstance(v, dict):
            inner = []
            for k, x in v.items():
                body = "[\n" + ",\n".join("      " + json.dumps(y, ensure_ascii=False) for y in x) + "\n    ]" if isinstance(x, list) else json.dumps(x)
                inner.append(f"    {json.dumps(k)}: {body}")
            lines.append(head + "{\n" + ",\n".join(inner) + "\n  }")
        else:
            lines.append(head + json.dumps(v))
    (OUT / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


templates = json.loads((PACKAGE / "en_zeroshot_classification_templates.json").read_text())
templates.pop("dummy")
for name in ["imagenetv2", "imagenet_sketch", "imagenet-a", "imagenet-r", "imagenet-o", "objectnet"]:
    templates[name] = "imagenet1k"
templates.update({"k400": KINETICS, "k600": "k400", "k700": "k400", "ucf101": UCF101, "hmdb51": "ucf101", "hmdb": "ucf101"})
assert len(templates["imagenet1k"]) == 80 and len(KINETICS) == 28 and len(UCF101) == 48

names = json.loads((PACKAGE / "en_classnames.json").read_text())
wnids = builder_lists()
every = wnids["all_imagenet_wordnet_ids"]
assert len(every) == len(names["imagenet1k"]) == 1000 and every == sorted(every)
classes = {"imagenet1k": {"classes": [list(pair) for pair in zip(every, names.pop("imagenet1k"))]}}
for name in ["imagenetv2", "imagenet_sketch"]:
    classes[name] = {"of": "imagenet1k"}
for name in ["a", "r", "o"]:
    part = set(wnids[f"imagenet_{name}_wnids"])
    assert len(part) == 200 and part <= set(every)
    classes[f"imagenet-{name}"] = {"of": "imagenet1k", "folders": sorted(part)}
pairs = sorted((folder(label), label.lower()) for label in OBJECTNET)
assert len(set(pairs)) == 113
classes["objectnet"] = {"border": OBJECTNET_BORDER, "classes": [list(pair) for pair in pairs]}
for name, value in names.items():
    classes[name] = {"classes": value}
voc = next(ast.literal_eval(n.value) for n in ast.walk(ast.parse((PACKAGE / "voc2007.py").read_text()))
           if isinstance(n, ast.Assign) and n.targets[0].id == "object_categories")
classes["voc2007"] = {"classes": voc}
assert len(UCF101_CLASSES) == 101
classes["ucf101"] = {"classes": UCF101_CLASSES}
write("templates.json", templates)
write("classes.json", classes)
print({k: len(v) if isinstance(v, list) else v for k, v in templates.items()})
