"""How far one comes without reading: the replies that score best on the training questions, given to others.

    by_type       one reply to all questions of a type
    by_question   one reply to each question that training has word for word, else that of its type
    majority      the most frequent answer to all questions of a task
    shown         any of the labels or values that the picture shows, on average; only where specs are given
"""
import collections


def relaxed(reply, answer):
    """ChartQA's relaxed accuracy: within 5 %; texts in lower case."""
    try:
        p, t = (float(text[:-1]) / 100 if text.endswith("%") else float(text) for text in (reply, answer))
    except ValueError:
        t = 0
    return abs(p - t) / abs(t) <= 0.05 if t else reply.lower() == answer.lower()


def distance(a, b):
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        last, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            last, row[j + 1] = row[j + 1], min(row[j] + 1, row[j + 1] + 1, last + (x != y))
    return row[-1]


def anls(reply, answer):
    a, b = (" ".join(text.lower().split()) for text in (reply, answer))
    longest = max(len(reply), len(answer))
    score = 1 - distance(a, b) / longest if longest else 1
    return score if score >= 0.5 else 0


def exact(reply, answer):
    return reply.lower() == answer.lower()


METRICS = {"chartqa": relaxed, "docvqa": anls, "easyvqa": exact}
NAMES = {"chartqa": "relaxed accuracy", "docvqa": "ANLS", "easyvqa": "exact match"}
TRIED, SCORED = 40, 200  # replies, answers; of ANLS, which is slow


def best_reply(answers, metric):
    """The answer that scores best on all of them; of equals the one that comes first."""
    counts = collections.Counter(answers)
    if metric is exact:
        return max(counts, key=counts.get)
    tried, scored = sorted(counts), sorted(answers)
    if metric is anls:
        tried = sorted(tried, key=lambda a: -counts[a])[:TRIED]
        scored = scored[::-(-len(scored) // SCORED)]
    return max(tried, key=lambda reply: sum(metric(reply, answer) for answer in scored))


class Guesser:
    def __init__(self, train):
        by_type, by_question, by_task = (collections.defaultdict(list) for _ in range(3))
        for row in train:
            for table, key in ((by_type, "type"), (by_question, "question"), (by_task, "task")):
                table[row["task"], row[key]].append(row["answers"][0])
        learn = lambda table: {key: best_reply(answers, METRICS[key[0]]) for key, answers in table.items()}
        self.by_type, self.by_question = learn(by_type), learn(by_question)
        self.majority = {key: best_reply(answers, exact) for key, answers in by_task.items()}

    def replies(self, row):
        task = row["task"]
        of_type = self.by_type.get((task, row["type"]), "")
        return {"by_type": of_type, "by_question": self.by_question.get((task, row["question"]), of_type),
                "majority": self.majority.get((task, task), "")}


def mean(values):
    return round(sum(values) / len(values), 4) if values else None


def scores(guesser, rows, shown=None):
    """{type or task: {"questions": how many, baseline: score}}; shown: {id of a row: texts}."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in rows:
        metric, answer = METRICS[row["task"]], row["answers"][0]
        values = {name: metric(reply, answer) for name, reply in guesser.replies(row).items()}
        if shown:
            values["shown"] = mean([metric(text, answer) for text in shown[row["id"]]])
        for key in (row["task"], row["type"]):
            for name, value in values.items():
                found[key][name].append(value)
    return {key: {"questions": len(table["by_type"]), **{name: mean(values) for name, values in table.items()}}
            for key, table in sorted(found.items())}
