"""The ranks of cl100k_base and o200k_base from the npm package, and the reference encodings built from them."""
import base64
import hashlib
import json
import pathlib
import subprocess
import tarfile

import tiktoken
from tiktoken_ext import openai_public

HERE = pathlib.Path(__file__).resolve().parent
NPM_VERSION = "1.0.22"
NAMES = {"cl100k": "cl100k_base", "o200k": "o200k_base"}


def npm_package(folder=HERE / "work", version=NPM_VERSION):
    """The unpacked npm package; fetched by npm when it is not there."""
    package = folder / "package"
    if not package.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", f"tiktoken@{version}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(folder / f"tiktoken-{version}.tgz") as archive:
            archive.extractall(folder, filter="data")
    return package


def reference(name, package):
    """tiktoken.Encoding of PyPI, with its own pattern, over the package's ranks. Raises if they are not OpenAI's."""
    ranks = {}
    data = json.loads((package / "encoders" / f"{NAMES[name]}.json").read_text())
    for line in data["bpe_ranks"].split("\n"):
        _, start, *tokens = line.split(" ")
        ranks.update((base64.b64decode(token), int(start) + i) for i, token in enumerate(tokens))
    listing = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in sorted(ranks.items(), key=lambda i: i[1]))

    def load(_url, expected_hash):
        if hashlib.sha256(listing).hexdigest() != expected_hash:
            raise ValueError(f"{name}: these are not the ranks that tiktoken expects")
        return ranks

    openai_public.load_tiktoken_bpe = load
    return tiktoken.Encoding(**openai_public.ENCODING_CONSTRUCTORS[NAMES[name]]()), ranks
