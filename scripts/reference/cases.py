#!/usr/bin/env python3
"""Inputs of the parser cases: scripts/reference/cases.py test/cases   (needs Pillow, numpy).

Makes test/cases/PARSER/CASE/input.  What is expected stands in `expected` beside it: write it with `test/unit/cases --update` and read it
before committing.
"""
import io, json, os, struct, sys, tarfile, zlib
import numpy as np
from PIL import Image

root = sys.argv[1]

def case(parser, name, data):
    folder = os.path.join(root, parser, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "input"), "wb") as out:
        out.write(data if isinstance(data, bytes) else data.encode())

def picture(mode="RGB", size=(24, 16), form="PNG", **options):
    y, x = np.mgrid[0:size[1], 0:size[0]]
    rgb = np.stack([x * 10, y * 15, np.full_like(x, 90)], -1).clip(0, 255).astype("uint8")
    image = Image.fromarray(rgb)
    if mode == "RGBA":
        image = Image.merge("RGBA", (*image.split(), Image.fromarray((x * 10).clip(0, 255).astype("uint8"))))
    elif mode == "I;16":
        image = Image.fromarray((x * 2600 + y).astype("uint16"))
    elif mode != "RGB":
        image = image.convert(mode)
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()

def tar(members, form=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()

def exif(orientation):
    e = Image.Exif()
    e[0x0112] = orientation
    return e

jpeg = picture(form="JPEG", quality=95)
# images
case("image", "jpeg", jpeg)
case("image", "jpeg-grey", picture("L", form="JPEG", quality=95))
case("image", "jpeg-cmyk", picture("CMYK", form="JPEG", quality=95))
case("image", "jpeg-rotated", picture(form="JPEG", quality=95, exif=exif(6)))
case("image", "jpeg-mirrored", picture(form="JPEG", quality=95, exif=exif(2)))
case("image", "jpeg-progressive", picture(form="JPEG", quality=95, progressive=True))
case("image", "jpeg-cut", jpeg[:len(jpeg) * 2 // 3])
case("image", "jpeg-header-only", jpeg[:24])
case("image", "png", picture())
case("image", "png-palette", picture("P"))
case("image", "png-alpha", picture("RGBA"))
case("image", "png-16-bit", picture("I;16"))
case("image", "png-bilevel", picture("1"))
case("image", "png-cut", picture()[:70])
bomb = bytearray(picture())
bomb[16:24] = struct.pack(">II", 60000, 60000)
case("image", "png-bomb", bytes(bomb))
case("image", "webp", picture(form="WEBP", quality=95))
case("image", "webp-alpha", picture("RGBA", form="WEBP", lossless=True))
case("image", "webp-cut", picture(form="WEBP")[:60])
case("image", "html", "<!DOCTYPE html><html>404</html>")
case("image", "gif", picture("P", form="GIF"))
case("image", "empty", b"")
case("image", "noise", bytes(range(256)))
# masks: pixels are numbers
def numbers(mode, values, **options):
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette([c for i in range(256) for c in (i, 255 - i, 7 * i % 256)])
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()

def raw_png(width, height, bits, colour, rows, interlaced=0, extra=b""):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)) + extra
            + (chunk(b"PLTE", bytes(3 * (1 << bits))) if colour == 3 else b"") + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

y, x = np.mgrid[0:16, 0:23]
for bits in (1, 2, 4, 8):
    case("mask", f"palette-{bits}", numbers("P", ((x + 2 * y) % (1 << bits)).astype("uint8"), bits=bits))
case("mask", "grey-8", numbers("L", ((11 * x + 3 * y) % 256).astype("uint8")))
case("mask", "grey-16", numbers("I;16", (2600 * x + y).astype("uint16")))
# Adam7 of 3 x 2: passes (0,0); (2,0); (1,0); row 1; each row begins with its filter, 0
case("mask", "interlaced", raw_png(3, 2, 8, 3, bytes([0, 10, 0, 12, 0, 11, 0, 20, 21, 22]), interlaced=1))
case("mask", "palette-short", raw_png(2, 1, 2, 3, bytes([0, 0b01110000])))
case("mask", "transparent-index", numbers("P", ((x + y) % 5).astype("uint8"), transparency=2))
case("mask", "rgb", picture())
case("mask", "rgba", picture("RGBA"))
case("mask", "grey-alpha", picture("LA"))
case("mask", "grey-1", picture("1"))
case("mask", "turned", numbers("L", (x + y).astype("uint8"), exif=exif(6)))
cut = numbers("L", ((11 * x + 3 * y) % 256).astype("uint8"))
case("mask", "cut", cut[:len(cut) - 40])
case("mask", "no-end", cut[:len(cut) - 12])
case("mask", "damaged", cut[:60] + bytes([cut[60] ^ 1]) + cut[61:])
case("mask", "bomb", cut[:16] + struct.pack(">II", 60000, 60000) + cut[24:])
case("mask", "jpeg", picture("L", form="JPEG"))
case("mask", "empty", b"")
# arrays
def npy(array, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version)
    return out.getvalue()

for kind in ("<f4", "<f8", "<i4", "<i8"):
    case("npy", kind[1:], npy(np.array([[1, -2, 3], [2**24 + 1, 0, -7]], kind)))
case("npy", "infinite", npy(np.array([np.inf, -np.inf, .1])))
case("npy", "scalar", npy(np.array(5)))
case("npy", "vector", npy(np.arange(4, dtype="<i4")))
case("npy", "nothing", npy(np.zeros((0, 3), "<f4")))
case("npy", "version-2", npy(np.ones((2, 2), "<f4"), (2, 0)))
case("npy", "fortran", npy(np.asfortranarray(np.arange(6.).reshape(2, 3))))
case("npy", "half", npy(np.ones(3, "<f2")))
case("npy", "big-endian", npy(np.ones(3, ">f4")))
case("npy", "record", npy(np.zeros(2, [("a", "<f4"), ("b", "<i4")])))
array = npy(np.ones((2, 2), "<f4"))
case("npy", "cut", array[:-3])
case("npy", "longer", array + b"x")
case("npy", "header-cut", array[:40])
case("npy", "bad-shape", array.replace(b"(2, 2)", b"(2,-2)"))
case("npy", "huge-shape", array.replace(b"(2, 2), }            ", b"(4611686018427387904, 2), }").replace(b"                        ", b" " * 18, 1))
case("npy", "nine-dims", npy(np.ones((1,) * 9, "<f4")))
case("npy", "pickle", b"\x80\x04K\x01." + bytes(20))
case("npy", "empty", b"")
# tars
case("tar", "webdataset", tar([("000.jpg", jpeg), ("000.txt", b"one\ntwo\n"), ("000.json", b'{"url": "u"}'), ("001.png", picture()), ("001.cls", b"7")]))
case("tar", "json-caption", tar([("a.jpg", jpeg), ("a.json", b'{"caption": "from json", "label": 3}')]))
case("tar", "escape", tar([("../../etc/passwd.jpg", jpeg), ("ok.jpg", jpeg), ("ok.txt", b"fine"), ("/abs.jpg", jpeg), ("a/../../b.txt", b"x")]))
case("tar", "long-name-gnu", tar([("d" * 150 + "/k.jpg", jpeg), ("d" * 150 + "/k.txt", b"long")], tarfile.GNU_FORMAT))
case("tar", "long-name-pax", tar([("d" * 150 + "/é.jpg", jpeg), ("d" * 150 + "/é.txt", b"pax")], tarfile.PAX_FORMAT))
case("tar", "no-picture", tar([("k.txt", b"words only"), ("l.jpg", jpeg), ("l.txt", b"both")]))
case("tar", "bad-json", tar([("k.jpg", jpeg), ("k.json", b"{")]))
case("tar", "bad-label", tar([("k.jpg", jpeg), ("k.cls", b"cat")]))
case("tar", "not-utf8", tar([("k.jpg", jpeg), ("k.txt", b"caf\xe9")]))
case("tar", "empty-caption", tar([("k.jpg", jpeg), ("k.txt", b"  \n\n")]))
good = tar([("k.jpg", jpeg), ("k.txt", b"fine"), ("l.jpg", jpeg)])
case("tar", "cut", good[:512 + 512 * ((len(jpeg) + 511) // 512) + 1024 + 512 + 100])
broken = bytearray(good)
broken[512 + 512 * ((len(jpeg) + 511) // 512) + 3] ^= 1
case("tar", "bad-header", bytes(broken))
case("tar", "not-a-tar", b"x" * 2000)
# tables
case("csv", "plain", "filepath,title\na.jpg,a cat\nb.jpg,\"a dog, brown\"\n")
case("csv", "quotes", 'filepath,title,note\na.jpg,"say ""hi""","two\nlines"\n')
case("csv", "crlf-bom", "\ufefffilepath,caption\r\na.jpg,x\r\n")
case("csv", "short-rows", "filepath,title\na.jpg\n\nb.jpg,c,d,e\n")
case("csv", "unclosed", 'filepath,title\na.jpg,"never ends\n')
case("csv", "not-utf8", b"filepath,title\na.jpg,caf\xe9\n")
case("csv", "empty", "")
case("tsv", "plain", "filepath\ttitle\na.jpg\ta \"cat\"\n")
case("jsonl", "plain", '{"image": "a.jpg", "captions": ["x", "y"]}\n{"image": "b.jpg", "caption": "z", "label": 2}\n')
case("jsonl", "bad-line", '{"image": "a.jpg", "caption": "x"}\n{oops\n[1]\n\n{"image": "b.jpg"}')
# safetensors
def st(header, data=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data
f32 = np.array([[1, 2], [3, 4.5]], "<f4").tobytes()
case("safetensors", "plain", st({"__metadata__": {"k": "v"}, "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}, f32))
case("safetensors", "halves", st({"h": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}, "b": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]}},
                                 np.array([1, -2.5, 6e-8, np.inf], "<f2").tobytes() + struct.pack("<HH", 0x3F80, 0xC000)))
case("safetensors", "scalar", st({"s": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}, struct.pack("<f", 2.5)))
case("safetensors", "outside", st({"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [8, 24]}}, f32))
case("safetensors", "wrong-size", st({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 16]}}, f32))
case("safetensors", "overflow", st({"a": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 16]}}, f32))
case("safetensors", "negative", st({"a": {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]}}, f32))
case("safetensors", "huge-header", st(b"{}", size=1 << 60))
case("safetensors", "not-json", st(b"hello"))
case("safetensors", "array", st([1, 2]))
case("safetensors", "duplicate", st(b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', f32))
case("safetensors", "short", b"abc")
# models
model = json.load(open(os.path.join(os.path.dirname(root.rstrip("/")), "golden/core/model.json")))
case("model", "plain", json.dumps(model))
case("model", "unknown-key", json.dumps({**model, "quick_gelu": True}))
case("model", "bad-patch", json.dumps({**model, "vision_cfg": {**model["vision_cfg"], "image_size": 33}}))
case("model", "bad-heads", json.dumps({**model, "vision_cfg": {**model["vision_cfg"], "heads": 5}}))
case("model", "no-text", json.dumps({k: v for k, v in model.items() if k != "text_cfg"}))
case("model", "class-pool-without-token", json.dumps({**model, "vision_cfg": {**model["vision_cfg"], "pool": "class", "class_token": False}}))
# PyTorch files (needs torch; skipped without)
try:
    import collections, io, pickle, zipfile, torch
except ImportError:
    torch = None
if torch:
    def saved(value):
        out = io.BytesIO()
        torch.save(value, out)
        return out.getvalue()

    def archive(code, compression=zipfile.ZIP_STORED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", compression) as z:
            z.writestr(zipfile.ZipInfo("archive/data.pkl"), code, compression)
        return out.getvalue()

    class Evil:
        def __reduce__(self):
            return (os.system, ("true",))
    a = torch.tensor([[1.0, 2.0], [3.0, 4.5]])
    case("pytorch", "plain", saved({"a": a, "b": a.to(torch.bfloat16)[1], "steps": 5, "note": "x"}))
    case("pytorch", "wrapped", saved({"epoch": 3, "state_dict": collections.OrderedDict(w=torch.nn.Parameter(a), h=a.half())}))
    case("pytorch", "transposed", saved({"t": a.t()}))
    case("pytorch", "no-tensors", saved({"a": 1}))
    case("pytorch", "list", saved([a]))
    case("pytorch", "calls-a-shell", saved({"a": Evil()}))
    case("pytorch", "cut-short", saved({"a": a})[:-60])
    case("pytorch", "compressed", archive(b"\x80\x02}q\x00.", zipfile.ZIP_DEFLATED))
    case("pytorch", "recalls-nothing", archive(b"\x80\x02h\x05."))
    case("pytorch", "endless-text", archive(b"\x80\x02X\xff\xff\xff\x7fabc"))
    case("pytorch", "not-a-zip", b"x" * 3000)
