#!/usr/bin/env python3
"""Writes src/text/testdata/bpe_golden.txt: a text in hexadecimal, its ids in cl100k, its ids in o200k; tabs between."""
import sys

import ranks

ROOT = ranks.HERE.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "retrieval"))
import fuzz_texts  # noqa: E402

CHOSEN = ["", " ", "a", "\n", "\0", "hello world", "I'm sure they'LL say it'ſ we’ve", "a\n  ", "a \n \n  b", "  \n ", "\u00a0\n\u2003",
          "ǅABC", "\u0301ABC", "!\u0301ABC", " \u0301", "ABCʰDEF", "ABCʰdef", "HTTPServer's", "12345678", "a" * 129,
          "中" * 60, " " * 300 + "x", "//\n/\r\n/x", "<|endoftext|>", "\ufeffx", "\U00010d4a\U00010d70 \U000105c0"]


def main():
    package = ranks.npm_package()
    encodings = [ranks.reference(name, package)[0] for name in ranks.NAMES]
    with open(ROOT / "src/text/testdata/bpe_golden.txt", "w") as out:
        for text in CHOSEN + fuzz_texts.texts(7, 600):
            ids = [" ".join(map(str, encoding.encode_ordinary(text))) for encoding in encodings]
            print(text.encode().hex(), *ids, sep="\t", file=out)


if __name__ == "__main__":
    main()
