#!/usr/bin/env python3
"""Golden values of pe-evaluator questions for test/golden/questions.

    python3 scripts/reference/questions.py LMMS_EVAL [FOLDER]     (LMMS_EVAL: the package's folder, 0.7.3; needs pyyaml)

prompts.jsonl   {task, wording, row, prompt, most}: what lmms-eval asks of rows with odd letters, spaces and choices, and how long a reply may be (null: it has no limit there)
contains.jsonl  {id, answers, type, reply, value}: OCRBench's score

Of lmms-eval: prompts of its task files for `plm` where they have one, else for `default`.  refcoco and easyvqa are ours and not here.
"""
import importlib.abc, importlib.machinery, importlib.util, json, os, random, sys, types
from unittest.mock import MagicMock
import yaml

here = os.path.dirname(os.path.abspath(__file__))
lmms = sys.argv[1]
folder = sys.argv[2] if len(sys.argv) > 2 else os.path.join(here, "../../test/golden/questions")
os.makedirs(folder, exist_ok=True)


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """What the references import and these functions do without."""
    def find_spec(self, name, path=None, target=None): return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__ = []
        return module
    def exec_module(self, module): pass


root = types.ModuleType("lmms_eval")
root.__path__ = [lmms]
sys.modules["lmms_eval"] = root
for name in ("tasks", "api", "filters"):
    part = types.ModuleType("lmms_eval." + name)
    part.__path__ = [os.path.join(lmms, name)]
    sys.modules["lmms_eval." + name] = part
sys.modules["lmms_eval.filters.extraction"] = types.SimpleNamespace(ExtendedRegexFilter=object)
sys.modules["lmms_eval.tasks._task_utils.file_utils"] = MagicMock()
sys.meta_path.append(Absent())
yaml.SafeLoader.add_constructor("!function", lambda loader, node: node.value)


def utils(name):
    spec = importlib.util.spec_from_file_location("task_" + name.replace("/", "_"), f"{lmms}/tasks/{name}/utils.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings(*files):
    """Of a template and the file that includes it."""
    found = {}
    for name in files:
        with open(f"{lmms}/tasks/{name}") as text: found.update(yaml.safe_load(text))
    return found


def kwargs(found, wording):
    of = found["lmms_eval_specific_kwargs"]
    return of.get("plm", of["default"]) if wording == "plm" else of["default"]


rows = [{"question": q} for q in ("What is the NASA logo?", "what does it say", "  Is it Red?\n", "élan of the ÉCOLE?", "ǆ is it?", "ÁÉ", "a?")]
choices = [{"question": "Which eats?", "options": ["a fox", "B", "it's \"x\""]}, {"question": " which? ", "options": ["yes", "no"]}]
tasks = {
    "docvqa": (rows, utils("docvqa").docvqa_doc_to_text, settings("docvqa/_default_template_docvqa_yaml")),
    "infovqa": (rows, utils("infovqa").infovqa_doc_to_text, settings("infovqa/_default_template_infovqa_yaml")),
    "chartqa": (rows, utils("chartqa").chartqa_doc_to_text, settings("chartqa/chartqa.yaml")),
    "textvqa": (rows, utils("textvqa").textvqa_doc_to_text, settings("textvqa/_default_template_textvqa_yaml", "textvqa/textvqa_val.yaml")),
    "vqav2": (rows, utils("vqav2").vqav2_doc_to_text, settings("vqav2/_default_template_vqav2_yaml", "vqav2/vqav2_val.yaml")),
    "okvqa": (rows, utils("ok_vqa").ok_vqa_doc_to_text, settings("ok_vqa/_default_template_vqa_yaml", "ok_vqa/ok_vqa_val2014.yaml")),
    "vizwiz": (rows, utils("vizwiz_vqa").vizwiz_vqa_doc_to_text, settings("vizwiz_vqa/_default_template_vqa_yaml", "vizwiz_vqa/vizwiz_vqa_val.yaml")),
    "ai2d": (choices, utils("ai2d").ai2d_doc_to_text, settings("ai2d/ai2d.yaml")),
    "mmmu": (rows + choices, utils("mmmu").mmmu_doc_to_text, settings("mmmu/_default_template_yaml", "mmmu/mmmu_val.yaml")),
    "mvbench": (choices, utils("mvbench").mvbench_doc_to_text, settings("mvbench/_default_template_yaml", "mvbench/mvbench_action_sequence.yaml")),
    "perceptiontest": (choices, utils("perceptiontest/val").perceptiontest_val_doc_to_text, settings("perceptiontest/val/_default_template_yaml")),
    "pope": (rows, utils("pope").pope_doc_to_text, settings("pope/pope_random.yaml")),
    "ocrbench": (rows, utils("ocrbench").ocrbench_doc_to_text, settings("ocrbench/ocrbench.yaml")),
    "nocaps": ([{}], utils("nocaps").nocaps_doc_to_text, settings("nocaps/_default_template_nocaps_yaml", "nocaps/nocaps_val.yaml")),
    "flickr30k": ([{}], lambda doc, k: utils("flickr30k").flickr_doc_to_text(doc), {**settings("flickr30k/flickr30k_test.yaml"), "lmms_eval_specific_kwargs": {"default": {}}}),
}


def document(task, row):
    """A row as lmms-eval's data sets hold it."""
    doc = dict(row)
    if task == "mmmu": doc.update(question_type="multiple-choice" if "options" in row else "open", options=repr(row.get("options")))
    if task == "mvbench": doc["candidates"] = doc["options"]
    return doc


with open(os.path.join(folder, "prompts.jsonl"), "w") as out:
    for task, (asked, prompt, found) in tasks.items():
        for wording in ("plm", "common"):
            for row in asked:
                text = prompt(document(task, row), kwargs(found, wording))
                most = found.get("generation_kwargs", {}).get("max_new_tokens")
                out.write(json.dumps({"task": task, "wording": wording, "row": row, "prompt": text, "most": most}, ensure_ascii=False) + "\n")
    for file, wording in (("coco_cap/coco_karpathy_test.yaml", "plm"), ("coco_cap/coco2014_cap_val.yaml", "common")):
        found = settings(file)
        out.write(json.dumps({"task": "coco", "wording": wording, "row": {}, "prompt": found["doc_to_text"], "most": found["generation_kwargs"]["max_new_tokens"]}) + "\n")

r = random.Random(1)
ocr = utils("ocrbench")
PIECES = ["CENTRE", "centre", "a", "B", " ", "  ", "\n", "ＡＢ", "！", "\u3000", "x^2", "\\frac{1}{2}", "é", "É", "12", "1,2", "."]
FORMULAS = "Handwritten Mathematical Expression Recognition"
with open(os.path.join(folder, "contains.jsonl"), "w") as out:
    values = []
    for i in range(300):
        answers = ["".join(r.choice(PIECES) for _ in range(r.randint(1, 3))) for _ in range(r.randint(1, 2))]
        reply = "".join(r.choice(PIECES) for _ in range(r.randint(0, 3))) + (r.choice(answers).swapcase() if r.random() < 0.5 else "") + r.choice(PIECES)
        kind = r.choice([FORMULAS, "Regular Text Recognition"])
        doc = {"answer": answers, "dataset": "HME100k" if kind == FORMULAS else "IIIT5K", "question_type": kind}
        value = ocr.ocrbench_process_results(doc, [reply])["ocrbench_accuracy"]["score"]
        values.append(value)
        out.write(json.dumps({"id": i, "answers": answers, "type": kind, "reply": reply, "value": value}, ensure_ascii=False) + "\n")
