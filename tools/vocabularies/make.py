#!/usr/bin/env python3
"""Writes models/cl100k.bpe and models/o200k.bpe; docs/formats/bpe-vocabulary.md describes the file."""
import pathlib
import struct

import tiktoken
import xxhash

import ranks

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VERSION, HEADER_SIZE, STRIDE, OFFSET_BITS = 2, 128, 16, 22
PAIR_WORDS = {"cl100k": 1 << 14, "o200k": 1 << 15}
MASK, NO_PAIR = (1 << 64) - 1, (1 << 21) - 1
K1, K2, K3 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F
PATTERNS = {"cl100k": 1, "o200k": 2}
# Bits of a class; a new line is white space too.
CLASSES = [(r"\s", 1), (r"[\r\n]", 2), (r"\p{N}", 4), (r"[\p{Lu}\p{Lt}]", 8), (r"\p{Ll}", 16), (r"[\p{Lm}\p{Lo}]", 32),
           (r"\p{M}", 64)]


def mix(a, b):
    product = a * b
    return (product & MASK) ^ (product >> 64)


def token_hash(token):
    size, state, at = len(token), K3, 0
    while size - at > 16:
        state = mix(int.from_bytes(token[at:at + 8], "little") ^ K1, int.from_bytes(token[at + 8:at + 16], "little") ^ state)
        at += 16
    last = token[-16:]  # may overlap those before
    return mix(int.from_bytes(last[:8], "little") ^ K1, int.from_bytes(last[8:], "little") ^ state ^ (size * K2 & MASK))


def code_point_classes():
    """Flags of every code point, as the reference's regular expressions see them: text outside of matches has no tokens."""
    flags = bytearray(0x110000)
    single = {bytes([i]): i for i in range(256)}
    everything = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    for pattern, flag in CLASSES:
        encoding = tiktoken.Encoding(name="class", pat_str=pattern, mergeable_ranks=single, special_tokens={})
        for c in bytes(encoding.encode_ordinary(everything)).decode():
            flags[ord(c)] |= flag
    pages, numbers, contents = bytearray(), {}, bytearray()
    for start in range(0, 0x110000, 256):
        page = bytes(flags[start:start + 256])
        if page not in numbers:
            numbers[page] = len(numbers)
            contents += page
        pages.append(numbers[page])
    return bytes(pages), bytes(contents)


def tables(tokens):
    """Records in order of id, the offset of each 16th, and the hash table."""
    records, index, offsets = bytearray(4), [], []
    for number, token in enumerate(tokens):
        if number % STRIDE == 0:
            index.append(len(records))
        offsets.append(len(records))
        records += struct.pack("<I", number | len(token) << 24) + token
    assert len(records) < 1 << OFFSET_BITS
    records += bytes(16)  # so that 16 bytes can be read from the start of any token
    size = 2 * len(tokens)
    slots = [0] * size
    for offset, token in zip(offsets, tokens):
        value = token_hash(token)
        at = (value >> 32) * size >> 32
        while at < len(slots) and slots[at]:
            at += 1
        if at == len(slots):
            slots.append(0)
        slots[at] = (value & 0x3FF) << OFFSET_BITS | offset
    slots.append(0)
    return bytes(records), struct.pack(f"<{len(index)}I", *index), struct.pack(f"<{len(slots)}I", *slots), size


def last_merge(token, ranks):
    """The two parts that merging makes `token` of, last of all; None of a byte and of a token that merging never makes."""
    parts = [token[i:i + 1] for i in range(len(token))]
    while len(parts) > 2:
        rank, at = min((ranks.get(parts[i] + parts[i + 1], len(ranks)), i) for i in range(len(parts) - 1))
        if rank == len(ranks):
            return None
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
    return parts if len(parts) == 2 else None


def pairs(order, words):
    """The filter of pairs that merge. Only one pair makes a token: what lies around its bytes does not change how they merge."""
    ranks = {token: number for number, token in enumerate(order)}
    names = {token: 1 << 20 | token[0] if len(token) == 1 else number for token, number in ranks.items()}
    filled = [0] * words
    for token in order:
        if parts := last_merge(token, ranks):
            value = ((names[parts[0]] << 21 | names[parts[1]]) + 1) * K1 & MASK
            filled[(value >> 32) % words] |= 1 << (value >> 58) | 1 << (value >> 52 & 63)
    return struct.pack(f"<{words}Q", *filled)


def byte_pairs(order):
    """The token of each two bytes, by the first and then the second; NO_PAIR where there is none."""
    ranks = {token: number for number, token in enumerate(order) if len(token) == 2}
    return struct.pack("<65536I", *(ranks.get(bytes([first, second]), NO_PAIR) for first in range(256) for second in range(256)))


def code_point(three):
    return (three[0] & 15) << 12 | (three[1] & 63) << 6 | three[2] & 63


def joins(order):
    """Two bitmaps of neighbours, of three bytes each in UTF-8, that a token may hold both of: by their meeting bytes, where the
    token holds only a part of one, then by their code points."""
    partial, whole = bytearray(1 << 13), bytearray(1 << 14)
    for token in order:
        for at in range(1, len(token)):
            right = token[at:at + 3]
            left = token[max(0, at - 3):at]
            if right[0] & 0xF0 != 0xE0 or left[-1] < 0x80 or (len(left) > 1 and 0xC0 <= left[-2] < 0xE0):
                continue
            if len(left) == 3 and left[0] & 0xF0 == 0xE0 and len(right) == 3:
                bit = (code_point(left) << 16 | code_point(right)) * 0x9E3779B1 % (1 << 32) >> 15
                whole[bit >> 3] |= 1 << (bit & 7)
                continue
            for second in ([right[1] & 63] if len(right) > 1 else range(64)):
                bit = (left[-1] & 63) << 10 | (right[0] & 15) << 6 | second
                partial[bit >> 3] |= 1 << (bit & 7)
    return bytes(partial + whole)


def write(name, order, classes, path):
    records, index, slots, size = tables(order)
    body, places = bytearray(), []
    for section in (records, index, slots, *classes, pairs(order, PAIR_WORDS[name]), joins(order), byte_pairs(order)):
        places += [HEADER_SIZE + len(body), len(section)]
        body += section + bytes(-len(section) % 64)
    def header(checksum):
        fields = struct.pack("<8s6IQQ16I", b"TSRABPEV", VERSION, PATTERNS[name], len(order), max(map(len, order)), size, 0,
                             HEADER_SIZE + len(body), checksum, *places)
        return (fields + name.encode().ljust(8, b"\0")).ljust(HEADER_SIZE, b"\0")

    checksum = xxhash.xxh3_64_intdigest(bytes(body), seed=xxhash.xxh3_64_intdigest(header(0)))
    path.write_bytes(header(checksum) + body)
    print(f"{path.name}: {HEADER_SIZE + len(body):,} bytes, {len(order):,} tokens")


def main():
    package = ranks.npm_package()
    classes = code_point_classes()
    for name in ranks.NAMES:
        _, by_token = ranks.reference(name, package)
        order = sorted(by_token, key=by_token.get)
        assert [by_token[token] for token in order] == list(range(len(order)))
        write(name, order, classes, ROOT / "models" / f"{name}.bpe")


if __name__ == "__main__":
    main()
