"""What the encoder reached on pictures of a style it has never seen, beside chance."""
import json, os


def read(folder):
    """[(name, value, chance)] from zeroshot.json and retrieval.json, and how many names and pictures there are."""
    load = lambda name: json.load(open(os.path.join(folder, name)))["metrics"]
    zero, retrieval = load("zeroshot.json"), load("retrieval.json")
    classes, images, texts = zero["classes"], retrieval["images"], retrieval["texts"]
    # Chance: one name in all; one picture in all; any of a picture's texts among all.
    rows = [("zero-shot top-1", zero["acc1"], 1 / classes), ("zero-shot top-5", zero["acc5"], 5 / classes)]
    rows += [(f"text → picture, recall@{k}", retrieval[f"image_retrieval_recall@{k}"], k / images) for k in (1, 5, 10)]
    rows += [(f"picture → text, recall@{k}", retrieval[f"text_retrieval_recall@{k}"], 1 - (1 - 1 / images) ** k)
             for k in (1, 5, 10)]
    return rows, classes, images


def show(folder):
    rows, classes, images = read(folder)
    print(f"\n{classes} names, {images} pictures of a style never seen in training (Twemoji)\n")
    print(f"{'':32}{'reached':>9}{'chance':>9}{'times':>8}")
    for name, value, chance in rows:
        print(f"{name:32}{100 * value:8.2f}%{100 * chance:8.3f}%{value / chance:7.0f}x")
