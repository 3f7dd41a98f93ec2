"""Retrieval quality of token vectors: `python evaluate.py [vectors.npy] [--squad FOLDER]`; without a file, of the model file.

titles  section titles of held-out Debian documentation -> their passages
gloss   WordNet's definition of a held-out word -> GCIDE's definition, the word itself removed from both
squad   questions -> paragraphs; measurement only, nothing is chosen by it
"""

import argparse
import json
import random
import re
import struct
from pathlib import Path

import numpy as np

from teach import held_out
from teacher import load_tokenizer

WORK = Path(__file__).parent / "work"
MODEL = Path(__file__).parents[2] / "models/tessera-static-256.bin"
DOCUMENTATION = "python postgres git gimp sqlite handbook reference gnome man install policy developers".split()


def without(word, text):
    return re.sub(r"\b" + re.escape(word) + r"\w*", "", text, flags=re.I)


def titles(rows):
    rows = [r for r in rows if r["source"] in DOCUMENTATION and r["title"] and held_out(r["title"])]
    places = {}
    for place, row in enumerate(rows):
        places.setdefault((row["source"], row["title"]), set()).add(place)
    queries = [re.sub(r"^[\d.AB ]+", "", title) for _, title in places]
    return queries, [r["text"] for r in rows], list(places.values())


def gloss(rows):
    wordnet, gcide = {}, {}
    for row in rows:
        word = row["title"].lower()
        if row["source"] not in ("wn", "gcide") or not held_out(row["title"]):
            continue
        text = re.sub(r"Syn: .*", "", without(word, row["text"]))
        if len(text.split()) < 6:
            continue
        if row["source"] == "gcide":
            gcide.setdefault(word, text)
        else:
            text = re.split(r" 2: ", re.sub(r'"[^"]*"', "", text))[0]
            wordnet.setdefault(word, re.sub(r"^\W*(n|v|adj|adv)? ?1?: ", "", text))
    words = sorted(w for w in set(wordnet) & set(gcide) if wordnet[w][:30] not in gcide[w])
    random.Random(3).shuffle(words)
    return [wordnet[w] for w in words], [gcide[w] for w in words], [{i} for i in range(len(words))]


def squad(folder):
    read = lambda name: [json.loads(line) for line in open(Path(folder) / name, encoding="utf-8")]
    paragraphs, questions = read("paragraphs.jsonl"), read("questions.jsonl")
    place = {p["id"]: i for i, p in enumerate(paragraphs)}
    return [q["question"] for q in questions], [p["text"] for p in paragraphs], [{place[q["paragraph_id"]]} for q in questions]


def read_model(path):
    """Token vectors of a model file, float32 [vocabulary, dimensions]."""
    data = Path(path).read_bytes()
    dimensions, vocabulary, first_row = struct.unpack_from("<III", data, 12)
    (scales, size), (rows, _) = struct.unpack_from("<II", data, 48 + 7 * 8), struct.unpack_from("<II", data, 48 + 8 * 8)
    vectors = np.zeros((vocabulary, dimensions), np.float32)
    quantised = np.frombuffer(data, np.int8, (vocabulary - first_row) * dimensions, rows).reshape(-1, dimensions)
    vectors[first_row:] = quantised * np.frombuffer(data, np.float32, size // 4, scales)[:, None]
    return vectors


def embed(vectors, tokenizer, texts):
    out = np.zeros((len(texts), vectors.shape[1]), np.float32)
    for place, encoding in enumerate(tokenizer.encode_batch(texts, add_special_tokens=False)):
        if encoding.ids:
            out[place] = vectors[encoding.ids].sum(0)
    return out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-9)


def measure(vectors, tokenizer, queries, passages, right):
    asked, stored = embed(vectors, tokenizer, queries), embed(vectors, tokenizer, passages)
    ranks = []
    for start in range(0, len(asked), 1000):
        scores = asked[start : start + 1000] @ stored.T
        for place, row in enumerate(scores):
            best = max(row[i] for i in right[start + place])
            ranks.append(1 + int((row > best).sum()))
    ranks = np.array(ranks)
    recall = " ".join(f"R@{k} {(ranks <= k).mean():.3f}" for k in (1, 5, 10))
    return f"{recall} MRR {(1 / ranks).mean():.3f} ({len(queries)} queries, {len(passages)} passages)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", nargs="?")
    parser.add_argument("--squad")
    options = parser.parse_args()
    vectors = np.load(options.vectors).astype(np.float32) if options.vectors else read_model(MODEL)
    vectors[:999] = 0
    tokenizer = load_tokenizer()
    with open(WORK / "corpus.jsonl", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    print("titles", measure(vectors, tokenizer, *titles(rows)))
    print("gloss ", measure(vectors, tokenizer, *gloss(rows)))
    if options.squad:
        print("squad ", measure(vectors, tokenizer, *squad(options.squad)))


if __name__ == "__main__":
    main()
