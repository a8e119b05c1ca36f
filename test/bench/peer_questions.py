"""transformers' PerceptionLM answering questions about pictures one by one: peer_questions.py MODEL FOLDER TOKENS THREADS REPLIES [BATCH]

MODEL: folder of pe-captioner train.  REPLIES: what pe-evaluator questions replied to rows of FOLDER (prompts and pictures are read from there).  BATCH: questions at once,
padded at the left (1).  Prints questions/s (importing and loading left out), how many replies are those of REPLIES, of how many, and the seconds of all cores together."""
import json, os, sys, time
import numpy as np, torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import PerceptionLMForConditionalGeneration

folder, root, new, threads, replies = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
batch = int(sys.argv[6]) if len(sys.argv) > 6 else 1
torch.set_num_threads(threads)
model = PerceptionLMForConditionalGeneration.from_pretrained(folder).float().eval()
size = model.config.vision_config.model_args["img_size"][0]
patch = model.config.vision_config.model_args["patch_size"]
rows_each = (size // patch // model.config.projector_pooling_ratio) ** 2
tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
tokenizer.encode_special_tokens = True
special = tokenizer.token_to_id
SYSTEM = ("You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of "
          "tasks using natural language.")
end = special("<|end_of_text|>")


def text(s):
    return tokenizer.encode(s, add_special_tokens=False).ids


def header(role):
    return [special("<|start_header_id|>"), *text(role), special("<|end_header_id|>")]


before = [special("<|begin_of_text|>"), *header("system"), *text("\n\n" + SYSTEM), special("<|eot_id|>"), *header("user"), *text("\n\n"), *[model.config.image_token_id] * rows_each]
after = [special("<|eot_id|>"), *header("assistant"), *text("\n\n")]
rows = [json.loads(line) for line in open(replies)]
start, cores, same = time.perf_counter(), time.process_time(), 0
for first in range(0, len(rows), batch):
    some = rows[first:first + batch]
    prompts = [before + text(row["prompt"]) + after for row in some]
    longest = max(map(len, prompts))
    ids = torch.tensor([[end] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    pictures = [Image.open(os.path.join(root, row["image"])).convert("RGB").resize((size, size), Image.BICUBIC) for row in some]
    pixels = torch.tensor(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        out = model.generate(input_ids=ids, attention_mask=mask, pixel_values=pixels[:, None], max_new_tokens=new, do_sample=False, eos_token_id=[special("<|eot_id|>"), end], pad_token_id=end)
    for row, line in zip(some, out[:, longest:].tolist()):
        ends = [i for i, t in enumerate(line) if t in (special("<|eot_id|>"), end)]
        same += tokenizer.decode(line[:ends[0]] if ends else line).strip() == row["text"]
print(f"{len(rows) / (time.perf_counter() - start):.3f} {same} {len(rows)} {time.process_time() - cores:.2f}")
