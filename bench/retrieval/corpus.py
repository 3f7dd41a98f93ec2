"""Texts like language: English words with their real frequencies (wordfreq), in sentences, with words that a document repeats.

Documents have 60 to 150 words mostly (log-normal, median 95). Seven words of ten are drawn by frequency, three from the document's
own twelve, which are not among the 200 most frequent. A query takes distinct words of one document, each equally likely, so that
frequent and rare ones mix. numpy's generator, fixed seeds; files are kept under .peers/data.
"""
import re

import numpy as np

from peers import DATA

COMMON, OWN, OWN_SHARE = 200, 12, 0.3
STEP = 20000


def vocabulary():
    import wordfreq
    items = [(word, share) for word, share in wordfreq.get_frequency_dict("en", "large").items() if re.fullmatch("[a-z]+", word)]
    items.sort(key=lambda item: (-item[1], item[0]))
    shares = np.array([share for _, share in items])
    return [word for word, _ in items], np.cumsum(shares) / shares.sum()


def step(random, cumulative):
    """Word numbers and document numbers of STEP documents."""
    lengths = np.clip(np.exp(random.normal(4.55, 0.35, STEP)), 20, 400).astype(np.int64)
    documents = np.repeat(np.arange(STEP), lengths)
    words = np.searchsorted(cumulative, random.random(len(documents)))
    own = np.searchsorted(cumulative, cumulative[COMMON] + random.random((STEP, OWN)) * (1 - cumulative[COMMON]))
    picked = random.random(len(documents)) < OWN_SHARE
    words[picked] = own[documents[picked], random.integers(OWN, size=picked.sum())]
    return np.minimum(words, len(cumulative) - 1), documents, lengths


def write(documents):
    """Path of the texts (one a line), document frequencies by word, the words, and the queries by number of words."""
    path, frequencies = DATA / f"texts-{documents}.txt", DATA / f"texts-{documents}.npz"
    words, cumulative = vocabulary()
    if not frequencies.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(11)
        first = [word.capitalize() for word in words]
        last = [word + "." for word in words]
        forms = np.array(words + first + last, dtype=object)
        counts, sample = np.zeros(len(words), dtype=np.int64), []
        with open(path, "w") as out:
            for start in range(0, documents, STEP):
                numbers, owners, lengths = step(random, cumulative)
                count = min(STEP, documents - start)
                ends = np.cumsum(lengths)
                size = ends[count - 1]
                numbers, owners = numbers[:size], owners[:size]
                counts += np.bincount(np.unique(owners * len(words) + numbers) % len(words), minlength=len(words))
                stop = random.random(size) < 1 / 14
                stop[ends[:count] - 1] = True
                begin = np.r_[True, stop[:-1]]
                shown = forms[np.where(stop, numbers + 2 * len(words), np.where(begin, numbers + len(words), numbers))]
                for number in range(count):
                    out.write(" ".join(shown[ends[number] - lengths[number]:ends[number]]) + "\n")
                if start == 0:
                    sample = [np.unique(numbers[ends[i] - lengths[i]:ends[i]]) for i in range(min(count, 3000))]
        np.savez(frequencies, counts=counts, sample=np.concatenate(sample), sizes=[len(part) for part in sample])
    stored = np.load(frequencies)
    sample = np.split(stored["sample"], np.cumsum(stored["sizes"])[:-1])
    return path, stored["counts"], words, sample


def queries(sample, size, count):
    """Word numbers of `count` queries of `size` distinct words each."""
    random = np.random.default_rng(100 + size)
    usable = [words for words in sample if len(words) >= size]
    return [random.choice(usable[random.integers(len(usable))], size, replace=False).tolist() for _ in range(count)]
