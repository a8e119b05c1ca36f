"""Questions as lines of JSON: as pe-evaluator reads them, and with answers as pe-captioner learns from them."""
import json

# What a task's prompt adds to its question; pe-evaluator adds the same.
SUFFIX = {"chartqa": "\nAnswer the question with a single word.",
          "docvqa": "\nAnswer the question using a single word or phrase.",
          "easyvqa": "\nAnswer the question using a single word or phrase."}


def question(name, image, text, answer, task, kind, group=None):
    """image: relative to the file; kind: of question; group: of picture."""
    row = {"id": name, "image": image, "question": text, "answers": [answer], "task": task, "type": kind}
    return {**row, "group": group} if group else row


def conversation(row):
    said = (("human", row["question"] + SUFFIX[row["task"]]), ("assistant", row["answers"][0]))
    return {"id": row["id"], "image": row["image"], "conversations": [{"from": w, "value": v} for w, v in said]}


def lines(rows):
    return [json.dumps(row, ensure_ascii=False) for row in rows]


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
