#!/usr/bin/env python3
"""Golden token ids: lines.txt through open_clip's tokenizer (ftfy installed), contexts 32 and 72.

    scripts/reference/tokenizer.py test/golden/tokenizer     (needs open_clip_torch)

Writes ids-32.txt and ids-72.txt: one row of ids a line, without the padding.
"""
import os, sys
import open_clip

folder = sys.argv[1]
tokenizer = open_clip.get_tokenizer("ViT-B-32")
for context in (32, 72):
    with open(os.path.join(folder, f"ids-{context}.txt"), "w") as out:
        for line in open(os.path.join(folder, "lines.txt"), encoding="utf-8"):
            ids = tokenizer([line.rstrip("\n")], context_length=context)[0].tolist()
            while ids[-1] == 0:
                ids.pop()
            print(*ids, file=out)
