"""transformers' PerceptionLM captioning a folder of clips one by one: peer_captions.py MODEL CLIPS FRAMES TOKENS THREADS ROWS

MODEL: folder of pe-captioner train.  Prints clips/s (importing and loading left out) and how many texts are those of ROWS (pe-captioner's captions.jsonl)."""
import glob, json, os, sys, time
import av, numpy as np, torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import PerceptionLMForConditionalGeneration

folder, clips, frames, new, threads, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
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


def text(s):
    return tokenizer.encode(s, add_special_tokens=False).ids


def header(role):
    return [special("<|start_header_id|>"), *text(role), special("<|end_header_id|>")]


prompt = [special("<|begin_of_text|>"), *header("system"), *text("\n\n" + SYSTEM), special("<|eot_id|>"), *header("user"), *text("\n\n"),
          *[model.config.video_token_id] * (rows_each * frames), *text("Describe this video in detail."), special("<|eot_id|>"), *header("assistant"), *text("\n\n")]
ids = torch.tensor([prompt])
wanted = {}
for line in open(rows):
    row = json.loads(line)
    wanted[row["key"]] = row["texts"][0]["text"]
start, same, paths = time.perf_counter(), 0, sorted(glob.glob(clips + "/*.mp4"))
for path in paths:
    pictures = [f.to_image() for f in av.open(path).decode(video=0)]
    chosen = [pictures[i * (len(pictures) - 1) // (frames - 1)].resize((size, size), Image.BICUBIC) for i in range(frames)]
    pixels = torch.tensor(np.stack([np.asarray(p) for p in chosen])).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values_videos=pixels[None], max_new_tokens=new, do_sample=False,
                             eos_token_id=[special("<|eot_id|>"), special("<|end_of_text|>")], pad_token_id=special("<|end_of_text|>"))
    same += tokenizer.decode(out[0][ids.shape[1]:].tolist()).strip() == wanted[os.path.splitext(os.path.basename(path))[0]]
print(f"{len(paths) / (time.perf_counter() - start):.3f} {same} {len(paths)}")
