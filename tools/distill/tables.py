"""The tokenizer's tables for the model file: hash table of the vocabulary, and what becomes of each code point.

Both are made by asking the reference tokenizer, so that the C++ tokenizer needs no Unicode data of its own.
"""

import numpy as np

SLOTS = 65536
SAME, DROP, SPACE, ALONE, IMAGE, IMAGE_ALONE = 0, 1, 2, 3, 16, 0x8000
MASK = (1 << 64) - 1


def token_hash(data, continuation):
    """src/text/wordpiece.cc: WordPiece::hash."""
    state = 0x9AE16A3B2F90404F if continuation else 0xCBF29CE484222325
    for byte in data:
        state = ((state ^ byte) * 0x100000001B3) & MASK
    spread = ((state ^ (state >> 32)) * 0x9E3779B97F4A7C15) & MASK
    return (spread & ~0x10000) | (continuation << 16)


def vocabulary_tables(tokens):
    """(offsets u32 [n + 1], bytes, slots u32 [SLOTS]); special and unused tokens have no bytes and no slot."""
    offsets, data, slots = [0], b"", np.zeros(SLOTS, np.uint32)
    for number, token in enumerate(tokens):
        special = token.startswith("[") and token.endswith("]") and len(token) > 2
        continuation = token.startswith("##") and len(token) > 2
        body = b"" if special else (token[2:] if continuation else token).encode()
        data += body
        offsets.append(len(data))
        if special:
            continue
        value = token_hash(body, continuation)
        slot = value >> 48
        while slots[slot]:
            slot = (slot + 1) % SLOTS
        slots[slot] = ((value >> 16) & 0xFFFF) << 16 | number
    return np.array(offsets, np.uint32), data, slots


def code_point_tables(tokenizer):
    """(pages u16 [4352], classes u16 [pages used * 256], image offsets u32, image bytes)."""
    classes = np.zeros(0x110000, np.uint16)
    images = {}
    for code in range(0x80, 0x110000):
        if 0xD800 <= code < 0xE000 or 0xAC00 <= code <= 0xD7A3:
            classes[code] = DROP if code < 0xE000 and code >= 0xD800 else SAME  # Hangul syllables: by arithmetic
            continue
        normal = tokenizer.normalizer.normalize_str("a" + chr(code) + "b")
        pieces = [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]
        if pieces == ["ab"]:
            classes[code] = DROP
        elif pieces == ["a", "b"]:
            classes[code] = SPACE
        elif pieces == ["a" + chr(code) + "b"]:
            classes[code] = SAME
        elif pieces == ["a", chr(code), "b"]:
            classes[code] = ALONE
        elif len(pieces) == 1:
            image = pieces[0][1:-1]
            classes[code] = IMAGE + images.setdefault(image, len(images))
        else:
            assert len(pieces) == 3 and pieces[0] == "a" and pieces[2] == "b", (hex(code), pieces)
            classes[code] = IMAGE_ALONE + IMAGE + images.setdefault(pieces[1], len(images))
    assert len(images) + IMAGE < IMAGE_ALONE
    pages, unique = [], {}
    for start in range(0, 0x110000, 256):
        page = classes[start : start + 256].tobytes()
        pages.append(unique.setdefault(page, len(unique)))
    offsets, data = [0], b""
    for image in images:
        data += image.encode()
        offsets.append(len(data))
    table = np.frombuffer(b"".join(unique), np.uint16)
    return np.array(pages, np.uint16), table, np.array(offsets, np.uint32), data
