#!/usr/bin/env python3
"""The demo's tokenizer: a byte-level BPE of Llama 3's form over the demo's captions and conversations.  What stands in every conversation counts so often that each of its words is a token.

    python3 scripts/reference/demo_tokenizer.py build/demo > scripts/demo-plm/tokenizer.json        (after scripts/demo; needs tokenizers)
"""
import json, os, sys
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|image|>", "<|video|>", "<|reserved_special_token_2|>", "<|reserved_special_token_3|>", "<|start_header_id|>",
           "<|end_header_id|>", "<|reserved_special_token_4|>", "<|eot_id|>"]
demo = sys.argv[1]
rows = lambda name: [json.loads(line) for line in open(os.path.join(demo, name))]
said = [turn["value"] for name in ("clips/summaries.jsonl", "questions/conversations.jsonl") for row in rows(name) for turn in row["conversations"]]
texts = [caption for row in rows("train.jsonl") for caption in row["captions"]] + [row["caption"] for row in rows("clips/told.jsonl")] + said
texts += 200 * ["You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of tasks using natural "
                "language.", "Describe this video in detail. Describe this image in detail.", "system", "user", "assistant"]
tokenizer = Tokenizer(models.BPE(ignore_merges=True))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
tokenizer.decoder = decoders.ByteLevel()
tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=2000, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
tokenizer.add_special_tokens(SPECIAL)
print(tokenizer.to_str())
