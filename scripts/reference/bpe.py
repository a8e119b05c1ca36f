#!/usr/bin/env python3
"""Golden ids for test/golden/bpe: a byte-level BPE of Llama 3's form trained here, and what Hugging Face's tokenizers and tiktoken make of 10,000 lines.

    python3 scripts/reference/bpe.py LINES.txt...      (needs tokenizers, tiktoken; lines in as many scripts as can be found)

Lines are drawn from the files given (CLDR's annotations in all languages serve well), joined at random with digits, spaces, punctuation, emoji, line ends and the
names of special tokens.  A line of lines.txt.gz is one JSON string; ids.bin.gz holds for each a count and its ids, little-endian uint16.  The same vocabulary is
written as tokenizer.json and as tokenizer.model; both libraries must agree before anything is written.
"""
import base64, gzip, json, os, random, struct, sys
import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|image|>", "<|video|>", "<|reserved_special_token_2|>", "<|reserved_special_token_3|>", "<|start_header_id|>",
           "<|end_header_id|>", "<|reserved_special_token_4|>", "<|eot_id|>"]
VOCABULARY, LINES = 3000, 10000
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden/bpe")
os.makedirs(folder, exist_ok=True)
rng = random.Random(7)
words = sorted({w.strip() for path in sys.argv[1:] for w in open(path, encoding="utf-8") if w.strip()})
glue = [" ", " ", " ", "  ", ", ", "\n", "\r\n", "\t", "'s ", "'LL ", "...", "12", "3456789", " 0.5", "\u00a0", "\u3000", "!?", "\n\n  ", " -> ", "\U0001f600", "e\u0301", "<|eot_id|>", "<|image|>", "\u0085"]


def line():
    out = rng.choice(words)
    for _ in range(rng.randint(0, 3)):
        out += rng.choice(glue) + rng.choice(words)
    return out[:120] if rng.random() < 0.5 else out[:60]


lines = [line() for _ in range(LINES)]
lines[:8] = ["", " ", "\n", "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "   spaces   ", "DON'T don't", "x" * 300 + "\n" * 30 + " " * 40 + "1234567"]

tokenizer = Tokenizer(models.BPE(ignore_merges=True))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
tokenizer.decoder = decoders.ByteLevel()
tokenizer.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
tokenizer.add_special_tokens(SPECIAL)
tokenizer.encode_special_tokens = True  # what looks like a special token stays text

byte_of = {}
extra = 256
for b in range(256):
    if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174:
        byte_of[chr(b)] = b
    else:
        byte_of[chr(extra)] = b
        extra += 1
vocabulary = {k: v for k, v in tokenizer.get_vocab().items() if k not in SPECIAL}
ranks = {bytes(byte_of[c] for c in k): v for k, v in vocabulary.items()}
other = tiktoken.Encoding("test", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={s: len(ranks) + i for i, s in enumerate(SPECIAL)})

with gzip.GzipFile(os.path.join(folder, "lines.txt.gz"), "wb", mtime=0) as text, gzip.GzipFile(os.path.join(folder, "ids.bin.gz"), "wb", mtime=0) as binary:
    for l in lines:
        ids = tokenizer.encode(l, add_special_tokens=False).ids
        assert ids == other.encode(l, disallowed_special=()), l
        assert tokenizer.decode(ids) == l, l
        text.write((json.dumps(l, ensure_ascii=False) + "\n").encode())
        binary.write(struct.pack(f"<{len(ids) + 1}H", len(ids), *ids))
saved = json.loads(tokenizer.to_str())
json.dump(saved, open(os.path.join(folder, "tokenizer.json"), "w"), ensure_ascii=False, separators=(",", ":"))
with open(os.path.join(folder, "tokenizer.model"), "w") as f:
    for token, rank in sorted(ranks.items(), key=lambda kv: kv[1]):
        f.write(f"{base64.b64encode(token).decode()} {rank}\n")
print(len(lines), "lines,", len(ranks), "tokens")
