"""Writes the model file; the format is described in docs/formats/static-model.md."""

import struct
import sys
from pathlib import Path

import numpy as np
import xxhash

import tables
from teacher import load_tokenizer, load_vocabulary

HEADER = 256
FIRST_ROW = 999  # [PAD], [unused*], [UNK], [CLS], [SEP], [MASK] come before and have no vector
UNKNOWN = 100


def quantise(vectors):
    """float [n, d] -> scales float32 [n], int8 [n, d]; the largest component of a row becomes 127."""
    peak = np.abs(vectors).max(1)
    scales = np.where(peak > 0, peak / 127, 1).astype(np.float32)
    return scales, np.clip(np.round(vectors / scales[:, None]), -127, 127).astype(np.int8)


def write_model(path, vectors, name):
    """`vectors`: float [vocabulary, dimensions], weights multiplied in; rows before FIRST_ROW are not written."""
    tokens = load_vocabulary()
    assert len(tokens) == len(vectors) and len(tokens) < 65536
    offsets, token_bytes, slots = tables.vocabulary_tables(tokens)
    pages, classes, image_offsets, image_bytes = tables.code_point_tables(load_tokenizer())
    rows = vectors[FIRST_ROW:]
    scales, quantised = quantise(rows / np.abs(rows).max())  # the common factor is lost in normalisation anyway
    sections = [offsets, token_bytes, slots, pages, classes, image_offsets, image_bytes, scales, quantised]
    body, table = b"", []
    for section in sections:
        data = section if isinstance(section, bytes) else section.tobytes()
        body += b"\0" * (-len(body) % 64)
        table.append((HEADER + len(body), len(data)))
        body += data
    header = struct.pack("<8sIIIII", b"TSRASTAT", 1, vectors.shape[1], len(tokens), FIRST_ROW, UNKNOWN)
    header += struct.pack("<IQQ", 0, HEADER + len(body), xxhash.xxh3_64_intdigest(body))
    for start, size in table:
        header += struct.pack("<II", start, size)
    header += name.encode().ljust(48, b"\0")
    Path(path).write_bytes(header.ljust(HEADER, b"\0") + body)
    return scales, quantised


if __name__ == "__main__":
    write_model(sys.argv[2], np.load(sys.argv[1]), "tessera/static-256")
