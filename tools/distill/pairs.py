"""Pairs of texts that belong together, from the corpus: a title and its passage, a sentence and the passage it was taken
out of, two dictionaries' definitions of one word. Held-out titles and three whole sources are left for measuring.
"""

import json
import random
import re
from pathlib import Path

from teach import held_out

WORK = Path(__file__).parent / "work"
UNSEEN = ("gimp", "sqlite", "handbook")  # no pairs from these, so that a measure on them is out of domain
DICTIONARY_PAIRS = 30000


def sentence_pairs(text, rng):
    sentences = [s for s in re.split(r"(?<=[.!?;])\s+", text) if len(s.split()) > 3]
    if len(sentences) < 2:
        return
    for _ in range(1 if len(sentences) < 4 else 2):
        sentence = rng.choice(sentences)
        words, query = sentence.split(), sentence
        if rng.random() < 0.5 and len(words) > 8:
            size = min(len(words), rng.randint(4, 10))
            start = rng.randint(0, len(words) - size)
            query = " ".join(words[start : start + size])
        yield query, text if rng.random() < 0.15 else text.replace(sentence, "")


def definitions(wordnet, gcide):
    for word in sorted(set(wordnet) & set(gcide)):
        remove = lambda text: re.sub(r"\b" + re.escape(word) + r"\w*", "", text, flags=re.I)
        short = re.sub(r"^\W*(n|v|adj|adv)? ?1?: ", "", re.split(r" 2: ", remove(wordnet[word]))[0])
        long = re.sub(r"Syn: .*", "", remove(gcide[word]))
        if len(short.split()) > 4 and len(long.split()) > 4:
            yield short, long


def make_pairs():
    """A shuffled list of (query, passage)."""
    rng = random.Random(5)
    with open(WORK / "corpus.jsonl", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rng.shuffle(rows)
    pairs, words, taken = [], {"wn": {}, "gcide": {}}, {"wn": 0, "gcide": 0}
    for row in rows:
        source, title, text = row["source"], row["title"], row["text"]
        if held_out(title or text[:40]) or source in UNSEEN:
            continue
        if source in words:
            words[source].setdefault(title.lower(), text)
            taken[source] += 1
            if taken[source] < DICTIONARY_PAIRS:
                pairs.append((title, text))
            continue
        if title and rng.random() < 0.6:
            pairs.append((re.sub(r"^[\d.]+ ", "", title), text))
        pairs += sentence_pairs(text, rng)
    pairs += definitions(words["wn"], words["gcide"])
    rng.shuffle(pairs)
    return pairs
