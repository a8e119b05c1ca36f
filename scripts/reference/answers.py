#!/usr/bin/env python3
"""Golden values of the metrics over texts for test/golden/answers.

    python3 scripts/reference/answers.py [FOLDER [SEED [ROWS]]]     (needs lmms-eval 0.7.3, pycocoevalcap 1.2, numpy and java; pip install --no-deps is enough)

METRIC[-RULE].jsonl  rows {id, answers, reply, ...}, which are truth and predictions at once, with what the reference makes of each as `value`
figures.json         {file: {figure: value}}
words.jsonl          {text, plain, split}: the VQA normaliser without and with words split before
ptb.jsonl            {text, tokens}: coco-caption's tokens of the sentences in captions.py

The replies are drawn here, from letters and words that reach the rules' corners.  Other than the references': MMMU's random choice where nothing is found is wrong,
and POPE's yes_ratio is of the replies.  Each sentence is tokenised with "A man" on the next line, which the tokenizer looks at after a letter with a full stop.
"""
import importlib.abc, importlib.machinery, importlib.util, json, os, random, string, subprocess, sys, types
from unittest.mock import MagicMock

here = os.path.dirname(os.path.abspath(__file__))
folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../test/golden/answers")
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
ROWS = int(sys.argv[3]) if len(sys.argv) > 3 else 250
os.makedirs(folder, exist_ok=True)
sys.path.insert(0, here)
import captions


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """What the references import and these functions do without."""
    def find_spec(self, name, path=None, target=None): return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__ = []
        return module
    def exec_module(self, module): pass


import numpy as np
package = importlib.util.find_spec("pycocoevalcap").submodule_search_locations[0]
lmms = os.path.join(os.path.dirname(package), "lmms_eval")
root = types.ModuleType("lmms_eval")
root.__path__ = [lmms]
sys.modules["lmms_eval"] = root
for name in ("tasks", "api", "filters"):
    part = types.ModuleType("lmms_eval." + name)
    part.__path__ = [os.path.join(lmms, name)]
    sys.modules["lmms_eval." + name] = part
sys.modules["yaml"] = MagicMock()
sys.modules["lmms_eval.tasks._task_utils.file_utils"] = MagicMock()
sys.modules["lmms_eval.filters.extraction"] = types.SimpleNamespace(ExtendedRegexFilter=object)
sys.meta_path.append(Absent())


def load(name, where):
    spec = importlib.util.spec_from_file_location(name, where)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


task = lambda name: load("task_" + name.replace("/", "_"), f"{lmms}/tasks/{name}.py")
metrics = load("api_metrics", f"{lmms}/api/metrics.py")
words = task("_task_utils/vqa_eval_metric").EvalAIAnswerProcessor
mcq = sys.modules["lmms_eval.tasks._task_utils.mmmu_mcq_utils"] = task("_task_utils/mmmu_mcq_utils")
chartqa, textvqa, vqav2, ai2d, mmmu, mvbench, pope = (task(n + "/utils") for n in ("chartqa", "textvqa", "vqav2", "ai2d", "mmmu", "mvbench", "pope"))
perception, refcoco = task("perceptiontest/val/utils"), task("refcoco/utils_rec")
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer, PUNCTUATIONS

r = random.Random(seed)
figures = {}
mean = lambda values: sum(values) / len(values)


def write(name, rows, **found):
    with open(os.path.join(folder, name + ".jsonl"), "w") as out:
        for row in rows: out.write(json.dumps(row, ensure_ascii=False) + "\n")
    if found: figures[name + ".jsonl"] = found


def by(rows, key, name):
    return {f"{name}_{k}": mean([x["value"] for x in rows if x[key] == k]) for k in dict.fromkeys(x[key] for x in rows)}


# --- texts ---
PIECES = ["a", "b", "the", "A", "An", "cat", "Cat's", "dog", "42", "1,000", "1000", "3.", "3.5", "U.S.A.", "dont", "can't", "well-known", "a/b", "none", "Ten", "two", ",", ".", "?", "!",
          "'", '"', "(x)", "-", "_", "é", "É", "ß", "ﬁ", "İ", "ΑΣ", "10%", "$5", "yes", "No", "\n", "\t", "\u00a0", "\u3000", "it's", "Its", "youre", "`", "@", "<b>", "+", "=", "\\", ";", "[", "]", "1,,2", "٣", "x.y"]


def text(most=5):
    return "".join(r.choice(PIECES) + r.choice(["", " ", " ", "  "]) for _ in range(r.randint(0, most)))


def edited(s):
    """s with a few slips."""
    s = list(s)
    for _ in range(r.randint(0, 3)):
        at = r.randint(0, len(s))
        kind = r.randrange(3)
        if kind == 0: s.insert(at, r.choice("abc ,.é'"))
        elif s and at < len(s): s[at:at + 1] = [] if kind == 1 else [s[at].swapcase()]
    return "".join(s)


def texts(golden, drawn):
    for row in golden: yield row
    for _ in range(drawn):
        answers = [text() for _ in range(r.randint(1, 3))]
        yield answers, edited(r.choice(answers)) if r.random() < 0.8 else text()


# --- exact ---
for name, case, punctuation in (("exact", False, False), ("exact-loose", True, True)):
    rows = []
    for answers, reply in texts([(["a", "B."], "b")], ROWS // 2):
        answers, reply = [a.replace("İ", "I") for a in answers], reply.replace("İ", "I")  # whose lower case numpy cuts short
        value = max(float(metrics.exact_match_hf_evaluate([reply], [a], ignore_case=case, ignore_punctuation=punctuation)["exact_match"]) for a in answers)
        rows.append({"id": len(rows), "answers": answers, "reply": reply, "value": value})
    write(name, rows, exact_match=mean([x["value"] for x in rows]))

# --- ANLS ---
rows = []
for answers, reply in texts([(["Paris"], "Pari"), (["ab"], "ax"), (["abcd"], "axyz"), (["$1,000"], "1000"), ([""], ""), (["12  June 2019"], "12 june 2019"), (["Straße"], "strasse"),
                             (["İstanbul"], "istanbul"), (["ﬃ"], "ffi")], ROWS):
    rows.append({"id": len(rows), "answers": answers, "reply": reply, "value": float(metrics.anls(answers, [reply])["anls"])})
write("anls", rows, anls=mean([x["value"] for x in rows]))

# --- relaxed ---
NUMBERS = ["0", "-0", "10", "10.5", "9.5", "10.51", "45%", "0.45", "45", "1,000", "1000", "1_000", "1__0", "_1", "1_", "inf", "-Infinity", "nan", "1e3", "1E+3", "1e", ".5", "5.", ".", "+7", "- 7", " 7 ",
           "7\u00a0", "\u2003 7", "٤٢", "４２.５", "0x10", "1 0", "%", "%%", "45%%", "45 %", "-3%", "2010", "2011", "1e400", "1e-400", "1_0.0_1", "1._5", "infinit", "yes", "Yes", "yes.", "12.0", "12", "𝟙𝟚", "1e1_0", "١٫٥", "½", "²"]
golden = [("10.5", "10"), ("10.51", "10"), ("9.5", "10"), ("45%", "0.45"), ("45%", "45"), ("1,000", "1000"), ("yes.", "yes"), ("2010", "2011"), ("0", "0"), ("0.01", "0")]
rows = []
def pair():
    """A reply and an answer, in half of the cases numbers near each other."""
    if r.random() < 0.5: return r.choice(NUMBERS), r.choice(NUMBERS)
    number = r.choice([1, 10, 0.4, 1234.5, -7, 2010])
    return [f"{v * f:g}" + e for v, f, e in ((number, r.choice([1, 1.04, 1.05, 1.06, 0.95, 0.94]), ""), (number, 1, ""))] if r.random() < 0.8 else [f"{number * 100:g}%", f"{number:g}"]


for reply, target in golden + [pair() for _ in range(2 * ROWS)]:
    kind = r.choice(["human_test", "augmented_test"])
    value = chartqa.chartqa_process_results({"type": kind, "answer": target}, [reply])["relaxed_overall"]
    rows.append({"id": len(rows), "answers": target, "type": kind, "reply": reply, "value": value})
halves = by(rows, "type", "relaxed")
write("relaxed", rows, relaxed_overall=mean([x["value"] for x in rows]), relaxed_human=halves["relaxed_human_test"], relaxed_augmented=halves["relaxed_augmented_test"])

# --- VQA ---
processor = words()


def without_split(s):
    """vqav2_process_results' own steps."""
    return processor.process_digit_article(processor.process_punctuation(s.replace("\n", " ").replace("\t", " ").strip()))


golden = ["The  Cat's, hat!", "a/b", "U.S.A.", "3.", "1,000", "None", "well-known", "dont", "." * 40, "a" + "." * 40, "1,,000 x-y", "x-y", "x -y", "let's", "she's", "its", "none of the ten"]
golden += list(words.CONTRACTIONS) + list(words.CONTRACTIONS.values()) + [w.capitalize() for w in words.CONTRACTIONS]
golden += [f"{a}{p}{b}" for p in words.PUNCTUATIONS for a, b in (("x", "y"), ("x ", "y"), ("x", " y"))]
rows = [{"text": s, "plain": without_split(s), "split": processor(s)} for s in golden + [text(7) for _ in range(2 * ROWS)]]
write("words", rows)
for name, split in (("vqa", False), ("vqa-split", True)):
    rows = []
    for _ in range(ROWS):
        pool = [text(2) for _ in range(r.randint(1, 4))]
        answers = [edited(r.choice(pool)) if r.random() < 0.2 else r.choice(pool) for _ in range(10)]
        reply, kind = edited(r.choice(pool)), r.choice(["yes/no", "number", "other"])
        if split: value = textvqa.textvqa_process_results({"answers": list(answers), "question_id": 0}, [reply])["exact_match"]
        else: value = vqav2.vqav2_process_results({"answers": [{"answer": a, "answer_id": i} for i, a in enumerate(answers)], "question_id": 0}, [reply])["exact_match"]
        rows.append({"id": f"q{len(rows)}", "answers": answers, "type": kind, "reply": reply, "value": value})
    write(name, rows, accuracy=mean([x["value"] for x in rows]), **by(rows, "type", "accuracy"))

# --- choice ---
CHOICES = ["a dog", "A cat", "the red car", "2", "none of them", "é", "yes"]
SAYS = ["A", "B", "C", "D", "E", "b", "c", "(A)", "(B)", "(C)", "(D)", "A.", "B.", "C.", "A)", "d)", " ", " ", " ", "\n", "\t", "The answer is ", "answer:", "not ", "a man is walking ", "a dog", "A cat", "The Red Car", "2",
        ",", ".", "!", "?", ";", ":", "'", '"', "_", "-", "/", "option ", "I think it must be ", "é", "because of all of this ", "I ", "1,000", "Z."]


def said():
    return "".join(r.choice(SAYS) for _ in range(r.choice([1, 1, 2, 3, 4, 5])))


def choice_rows(rule, golden, score, group=None):
    rows = []
    for number, letter, reply in golden + [(r.randint(2, 5), None, said()) for _ in range(2 * ROWS)]:
        choices = r.sample(CHOICES, number)
        letter = letter or r.choice(string.ascii_uppercase[:number])
        row = {"id": len(rows), "choices": choices, "answers": letter, "reply": reply}
        if group: row["group"] = group()
        row["value"] = float(score(row, choices, letter, reply))
        rows.append(row)
    return rows


def score_ai2d(row, choices, letter, reply):
    got = ai2d.MultiChoiceRegexFilter.apply(None, [[reply]], [None])[0]
    return metrics.exact_match_hf_evaluate([got], [letter], ignore_case=True, ignore_punctuation=True)["exact_match"]


def score_mvbench(row, choices, letter, reply):
    return mvbench.mcq_acc(letter, reply)


def score_perception(row, choices, letter, reply):
    doc = {"video_name": "", "question": "", "answer_id": string.ascii_uppercase.index(letter)}
    return perception.perceptiontest_val_process_results_mc(doc, [reply])["accuracy"]["correct"]


mcq.random = types.SimpleNamespace(choice=lambda choices: None)


def score_mmmu(row, choices, letter, reply):
    parsed = mcq.parse_mmmu_multi_choice_response(reply, *mcq.get_multi_choice_info(choices)[::-1])
    return mmmu.eval_multi_choice(letter, parsed)


rows = choice_rows("ai2d", [(3, "A", "A."), (3, "B", " B. cat"), (3, "C", "(c)")], score_ai2d)
write("choice-ai2d", rows, accuracy=mean([x["value"] for x in rows]))
rows = choice_rows("perceptiontest", [(3, "A", "A man"), (3, "B", "b. The B")], score_perception)
write("choice-perceptiontest", rows, accuracy=mean([x["value"] for x in rows]))

rows = choice_rows("mvbench", [(4, "A", "a man is walking (B)"), (4, "B", "(B) walks"), (4, "C", ""), (4, "C", "c. it\nis so"), (4, "B", "x_B")], score_mvbench, lambda: r.choice(["count", "order", "state"]))
parts = {}
for row in rows: parts.setdefault(row["group"], []).append({"pred_answer": row["reply"], "score": row["value"]})
of_group = {k: mvbench.mvbench_aggregate_results(v) / 100 for k, v in parts.items()}
answered = [x["value"] for x in rows if x["reply"] != ""]
write("choice-mvbench", rows, accuracy=mean(answered), mean_per_group=mean(list(of_group.values())), **{"accuracy_" + k: v for k, v in of_group.items()})

# MMMU: choices and open questions, subjects
rows = choice_rows("mmmu", [(3, "C", "The answer is (B) not (C)"), (3, "A", "A dog"), (3, "B", "b"), (3, "A", "of all these things it is a dog and no cat")], score_mmmu)
for row in rows: row["type"] = "multiple-choice"
SAYS_OPEN = ["so ", "is ", "answer ", "final ", "= ", "=", "could be ", "result ", "3.14", "3.141", "1,000", "1000", "-5", "1e3", ".5", "0.5", "x", "y", "the cat", "cat", "\n", ". ", ".", " ", " ", ",", ":", "10%", "$7", "7", "a7b", "1,00", "nan",
             "inf", "1.005", "2.675", "é"]
ANSWERS_OPEN = ["3.14", "1000", "1,000", "-5", "0.5", "x", "the cat", "cat", "7", "10%", "é", "1.0", "2.67", "2.68"]
for _ in range(3 * ROWS):
    answers, reply = r.sample(ANSWERS_OPEN, r.randint(1, 2)), "".join(r.choice(SAYS_OPEN) for _ in range(r.randint(0, 6)))
    rows.append({"id": len(rows), "type": "open", "answers": answers, "reply": reply, "value": float(mmmu.eval_open(answers, mmmu.parse_open_response(reply)))})
for row in rows: row["group"] = r.choice(["Accounting", "Art_Theory", "Math"])
subjects = by(rows, "group", "accuracy")
write("choice-mmmu", rows, accuracy=mean([x["value"] for x in rows]), **by(rows, "type", "accuracy"), **subjects, mean_per_group=mean(list(subjects.values())))

# --- POPE ---
rows, results = [], []
for i in range(ROWS):
    truth, reply = r.choice(["yes", "no"]), r.choice(["yes", "no", "Yes", " no\n", "yes.", "No", "maybe", ""])
    result = pope.pope_process_results({"question_id": i, "answer": truth}, [reply])["pope_accuracy"]
    results.append(result)
    rows.append({"id": i, "answers": truth, "reply": reply, "value": result["score"]})
write("pope", rows, accuracy=pope.pope_aggregate_accuracy(results), precision=pope.pope_aggregate_precision(results), recall=pope.pope_aggregate_recall(results),
      f1=pope.pope_aggregate_f1_score(results), yes_ratio=mean([x["prediction"] == "yes" for x in results]))

# --- grounding ---
rows, scores = [], []
for i in range(ROWS):
    box = [r.randint(0, 20), r.randint(0, 20)]
    box += [box[0] + r.randint(1, 20), box[1] + r.randint(1, 20)]
    near = [v + r.choice([0, 0, 1, -1, 2.5]) for v in box] if r.random() < 0.7 else [r.randint(0, 40) for _ in range(4)]
    reply = r.choice(["[%g, %g, %g, %g]", "it is [%g,%g,%g,%g].", "[%g %g %g %g]", "[ %g ,%g, %g, %g ]", "[1, 2] [%g,\n%g, %g, %g ]", "(%g, %g, %g, %g)"]) % tuple(near)
    reply = near if r.random() < 0.1 else reply
    parsed = near if reply is near else refcoco.parse_float_sequence_within(reply)
    try: iou = refcoco.compute_iou(box, parsed)
    except ZeroDivisionError: iou = 0.0  # a box with its corners exchanged, as large as the right one
    scores.append(iou)
    rows.append({"id": i, "answers": box, "reply": reply, "value": float(iou >= 0.5)})
write("grounding", rows, IoU=mean(scores), **{f"ACC@{t}": mean([s >= t for s in scores]) for t in (0.1, 0.3, 0.5, 0.7, 0.9)})

# --- captions ---
jar = os.path.join(package, "tokenizer", "stanford-corenlp-3.4.1.jar")


def treebank(sentences):
    """What PTBTokenizer of pycocoevalcap does, each sentence with the same line after it."""
    lines = "".join(s.replace("\n", " ") + "\nA man\n" for s in sentences)
    command = ["java", "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    out = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode().split("\n")
    return [" ".join(" ".join(w for w in line.rstrip().split(" ") if w not in PUNCTUATIONS).split()) for line in out[::2][:len(sentences)]]


sentences = captions.sentences(seed + 6)
write("ptb", [{"text": s, "tokens": t} for s, t in zip(sentences, treebank(sentences))])


def cider(name, rows):
    gts = {x["id"]: [{"caption": a} for a in x["answers"]] for x in rows}
    res = {x["id"]: [{"caption": x["reply"]}] for x in rows}
    found, values = Cider().compute_score(PTBTokenizer().tokenize(gts), PTBTokenizer().tokenize(res))
    for row, value in zip(rows, values): row["value"] = float(value)
    write(name, rows, CIDEr=float(found))


cider("cider", [{"id": i, "answers": refs, "reply": hyp} for i, (hyp, refs) in enumerate([
    ("a cat sits on a mat", ["a cat is on the mat", "a cat sits on a mat"]), ("two dogs run", ["two dogs are running in a park", "dogs run"]), ("blue sky", ["the sky is blue"])])])
pool = [s for s in sentences if not s.rstrip(" .").endswith((" A", " a"))]
rows = []
for i in range(120):
    refs = [r.choice(pool)]
    while len(refs) < r.randint(1, 5): refs.append(r.choice(pool) if r.random() < 0.3 else edited(refs[0]))
    hyp = edited(r.choice(refs)) if r.random() < 0.7 else r.choice([r.choice(pool), "", "a", "a man a man a man a man"])
    rows.append({"id": str(i), "answers": refs, "reply": hyp})
cider("cider-set", rows)

with open(os.path.join(folder, "figures.json"), "w") as out: json.dump(figures, out, indent=1)
