"""Makes models/tessera-static-256.bin from nothing: `python distill.py` runs every stage whose result is missing.

Stages, each with its result below work/:
  corpus      corpus.jsonl       general English text from Debian's documentation packages (corpus.py)
  vocabulary  vocabulary.npy     the teacher's vector of every token: [CLS] token [SEP], mean pooled
  counts      counts.npy         token frequencies in the corpus
  teach       teach_*.{jsonl,npy} the teacher's vectors of about 100,000 passages, sentences, titles, questions (teach.py)
  fit         fitted.npy         token vectors: PCA and frequency weights, then fitted to the teacher (fit.py)
  write       the model file (write.py)
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from teacher import Teacher, load_tokenizer, load_vocabulary

HERE = Path(__file__).parent
WORK = HERE / "work"
MODEL = HERE.parents[1] / "models/tessera-static-256.bin"


def make_vocabulary():
    ids = [[number] for number in range(len(load_vocabulary()))]
    report = lambda done, total: print(f"{done} of {total} tokens", flush=True)
    np.save(WORK / "vocabulary.npy", Teacher().encode_ids(ids, batch=256, progress=report))


def make_counts():
    tokenizer = load_tokenizer()
    counts = np.zeros(len(load_vocabulary()))
    with open(WORK / "corpus.jsonl", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    for start in range(0, len(texts), 5000):
        for encoding in tokenizer.encode_batch(texts[start : start + 5000], add_special_tokens=False):
            np.add.at(counts, encoding.ids, 1)
    np.save(WORK / "counts.npy", counts)


def script(name):
    return lambda: subprocess.run([sys.executable, HERE / name], cwd=HERE, check=True)


def write():
    from write import write_model

    write_model(MODEL, np.load(WORK / "fitted.npy"), "tessera/static-256")


STAGES = [
    ("corpus", "corpus.jsonl", script("corpus.py")),
    ("vocabulary", "vocabulary.npy", make_vocabulary),
    ("counts", "counts.npy", make_counts),
    ("teach", "teach_vectors.npy", script("teach.py")),
    ("fit", "fitted.npy", script("fit.py")),
    ("write", None, write),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", help="run this stage and the ones after it even if their results are there")
    wanted = parser.parse_args().again
    WORK.mkdir(exist_ok=True)
    forced = False
    for name, result, make in STAGES:
        forced = forced or name == wanted
        if result and (WORK / result).exists() and not forced:
            print(f"{name}: kept")
            continue
        print(f"{name} ...", flush=True)
        make()


if __name__ == "__main__":
    main()
