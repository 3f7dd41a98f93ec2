"""Samples texts of the corpus, as passages, sentences, titles and questions, and stores the teacher's vectors for them.

Writes work/teach_texts.jsonl and work/teach_vectors.npy (float16 [n, 384], L2-normalised). Headwords and titles whose
hash falls into the held-out tenth are left for evaluate.py.
"""

import json
import random
import re
import sys
import time
import zlib
from pathlib import Path

import numpy as np

from teacher import Teacher, load_tokenizer

WORK = Path(__file__).parent / "work"
CAPS = {"gcide": 16000, "wn": 20000, "linux": 9000, "python": 7000, "postgres": 6000, "fortunes": 7000}
QUESTIONS = ["what is {}?", "how does {} work?", "{}", "{}", "tell me about {}", "who or what was {}?", "where is {} used?", "why {}?"]


def held_out(title):
    return zlib.crc32(re.sub(r"\W+", " ", title).strip().lower().encode()) % 10 == 0


def samples(rows, rng):
    by_source = {}
    for row in rows:
        if not held_out(row["title"] or row["text"][:40]):
            by_source.setdefault(row["source"], []).append(row)
    for source, items in sorted(by_source.items()):
        rng.shuffle(items)
        for row in items[: CAPS.get(source, 6000)]:
            text, kind = row["text"], rng.random()
            sentences = re.split(r"(?<=[.!?;])\s+", text)
            if kind < 0.55 or len(text) < 60:
                yield text
            elif kind < 0.9:
                yield rng.choice(sentences)
            elif row["title"]:
                yield rng.choice(QUESTIONS).format(row["title"])
            if row["title"] and rng.random() < 0.1:
                yield rng.choice(QUESTIONS).format(row["title"])


def main():
    rng = random.Random(7)
    with open(WORK / "corpus.jsonl", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [t for t in samples(rows, rng) if len(t) > 2]
    rng.shuffle(texts)
    texts = texts[: int(sys.argv[1])] if len(sys.argv) > 1 else texts
    tokenizer = load_tokenizer()
    ids = [e.ids[:126] for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    print(len(texts), "texts", sum(map(len, ids)), "tokens", flush=True)
    teacher, began = Teacher(threads=1), time.time()
    vectors = np.empty((len(ids), 384), np.float16)
    step = 4096
    for start in range(0, len(ids), step):
        block = teacher.encode_ids(ids[start : start + step], batch=64)
        vectors[start : start + step] = block / np.linalg.norm(block, axis=1, keepdims=True)
        done = min(start + step, len(ids))
        np.save(WORK / "teach_vectors.npy", vectors[:done])
        print(done, "of", len(ids), round(time.time() - began), "s", flush=True)
        if start == 0:
            with open(WORK / "teach_texts.jsonl", "w", encoding="utf-8") as out:
                out.writelines(json.dumps(t, ensure_ascii=False) + "\n" for t in texts)


if __name__ == "__main__":
    main()
