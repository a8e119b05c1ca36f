"""Files of a generated folder: written with their hashes, and cleared of what an earlier run made."""
import hashlib, io, json, os, shutil, sys
from PIL import Image


class Files:
    """What one job writes: SHA-256 by path within the folder."""

    def __init__(self, folder):
        self.folder, self.hashes = folder, {}

    def place(self, path):
        target = os.path.join(self.folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        return target

    def write(self, path, data):
        with open(self.place(path), "wb") as out:
            out.write(data)
        self.hashes[path] = hashlib.sha256(data).hexdigest()

    def png(self, path, pixels, palette=None):
        image, out = Image.fromarray(pixels), io.BytesIO()
        if palette:
            image.putpalette(palette)
        image.save(out, "PNG")
        self.write(path, out.getvalue())

    def lines(self, path, lines):
        self.write(path, "".join(line + "\n" for line in lines).encode())

    def again(self, path, source):
        """The same file under another name."""
        try:
            os.link(os.path.join(self.folder, source), self.place(path))
        except OSError:  # a file system without hard links
            shutil.copyfile(os.path.join(self.folder, source), self.place(path))
        self.hashes[path] = self.hashes[source]


def prepare(folder, layouts):
    """A folder without pictures: what an earlier run made, the entries named by layouts, is removed."""
    os.makedirs(folder, exist_ok=True)
    there = [name for name in layouts if os.path.exists(os.path.join(folder, name))]
    manifest = os.path.join(folder, "manifest.json")
    if there and not os.path.exists(manifest):
        sys.exit(f"{folder}: has {there[0]}/ and no manifest.json, so this did not make it; name another folder")
    with open(manifest, "w") as out:
        out.write("{}")  # until all is written
    for name in there:
        shutil.rmtree(os.path.join(folder, name))
