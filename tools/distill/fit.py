"""Fits the token vectors: work/vocabulary.npy, counts, teacher vectors and pairs -> work/fitted.npy.

They start as Model2Vec makes them: the teacher's token vectors, projected on the 256 principal directions of its text
vectors, weighted by a / (a + frequency). Then gradient descent, on what the product computes (the normalised sum), of
  1. one minus the cosine to the teacher's vector of the same text,
  2. the squared difference between the similarities of the texts in a batch and the teacher's similarities,
  3. a small share of in-batch contrast over the pairs of pairs.py.
Nothing of this costs anything at run time.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from pairs import make_pairs
from teacher import load_tokenizer
from write import FIRST_ROW

WORK = Path(__file__).parent / "work"
DIMENSIONS, EPOCHS, BATCH, RATE = 256, 3, 512, 0.01
SIF, SIMILARITY, CONTRAST, SCALE = 1e-4, 20.0, 0.05, 20.0
TOKENS_MAX = 126


def token_ids(tokenizer, texts, size=TOKENS_MAX):
    return [np.array(e.ids[:size], np.int64) for e in tokenizer.encode_batch(texts, add_special_tokens=False)]


def embed(bag, sequences):
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in sequences])[:-1]])
    return functional.normalize(bag(torch.from_numpy(np.concatenate(sequences)), torch.from_numpy(offsets)), dim=1)


def start_vectors(projection):
    vectors, counts = np.load(WORK / "vocabulary.npy"), np.load(WORK / "counts.npy")
    frequency = (counts + 1) / (counts + 1).sum()
    start = (vectors - vectors[FIRST_ROW:].mean(0)) @ projection * (SIF / (SIF + frequency))[:, None]
    start[:FIRST_ROW] = 0
    return start / np.linalg.norm(start[FIRST_ROW:], axis=1).mean()


def contrast(bag, queries, passages, rows):
    scores = embed(bag, [queries[i] for i in rows]) @ embed(bag, [passages[i] for i in rows]).T * SCALE
    own = torch.arange(len(rows))
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2


def main():
    torch.set_num_threads(1)
    tokenizer, rng = load_tokenizer(), np.random.default_rng(0)
    teacher = np.load(WORK / "teach_vectors.npy").astype(np.float32)
    with open(WORK / "teach_texts.jsonl", encoding="utf-8") as lines:
        texts = token_ids(tokenizer, [json.loads(line) for line in lines])[: len(teacher)]
    mean = teacher.mean(0)
    _, _, directions = np.linalg.svd((teacher - mean)[:30000], full_matrices=False)
    projection = directions[:DIMENSIONS].T
    target = (teacher - mean) @ projection
    target = torch.tensor(target / np.linalg.norm(target, axis=1, keepdims=True))
    pairs = make_pairs()
    queries, passages = token_ids(tokenizer, [q for q, _ in pairs]), token_ids(tokenizer, [p for _, p in pairs], 160)
    usable = np.array([i for i in range(len(pairs)) if len(queries[i]) > 1 and len(passages[i]) > 3])

    start = torch.tensor(start_vectors(projection), dtype=torch.float32)
    bag = torch.nn.EmbeddingBag.from_pretrained(start, freeze=False, mode="sum")
    optimiser = torch.optim.Adam(bag.parameters(), lr=RATE)
    kept = np.array([i for i, ids in enumerate(texts) if len(ids)])
    train, watched = kept[:-3000], kept[-3000:]
    steps, done = EPOCHS * (len(train) // BATCH), 0
    for epoch in range(EPOCHS):
        order = rng.permutation(train)
        for first in range(0, len(order) - BATCH, BATCH):
            optimiser.param_groups[0]["lr"] = RATE * (1 - done / steps)
            rows = order[first : first + BATCH]
            vectors, wanted = embed(bag, [texts[i] for i in rows]), target[rows]
            loss = 1 - (vectors * wanted).sum(1).mean()
            loss = loss + SIMILARITY * ((vectors @ vectors.T - wanted @ wanted.T) ** 2).mean()
            loss = loss + CONTRAST * contrast(bag, queries, passages, rng.choice(usable, BATCH))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
        with torch.no_grad():
            apart = 1 - (embed(bag, [texts[i] for i in watched]) * target[watched]).sum(1).mean().item()
        print(f"epoch {epoch}: held-out distance to the teacher {apart:.4f}", flush=True)
        np.save(WORK / "fitted.npy", bag.weight.detach().numpy())


if __name__ == "__main__":
    main()
