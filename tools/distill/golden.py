"""Writes src/text/testdata/wordpiece_golden.tsv: texts (hexadecimal UTF-8) and the ids the reference tokenizer gives them."""

import random
from pathlib import Path

from teacher import load_tokenizer

TEXTS = [
    "", " ", "Hello, world!", "The quick brown fox jumps over the lazy dog.", "unaffable", "don't stop", "e-mail",
    "Tessera's hybrid search: BM25 + dense, fused by reciprocal rank.", "naïve café Ångström Ünïcödé résumé",
    "İstanbul ışık DİYARBAKIR", "ΑΒΓ Σίσυφος ὈΔΥΣΣΕΎΣ", "Привет, мир! Ёлка", "日本語のテキスト", "中文分词 test 混合text",
    "한국어 텍스트 각", "العَرَبِيَّة", "עברית עם ניקוד שָׁלוֹם", "हिन्दी में लिखा", "ภาษาไทย", "😀 emoji 👨‍👩‍👧 family 🇩🇪",
    "tab\tnew\nline\r\nform\x0cfeed\x0bvertical\x85next\u2028line\u2029para", "zero\u200bwidth\u200djoin\ufeffbom soft\u00adhyphen",
    "nbsp\u00a0thin\u2009ideographic\u3000space", "a\u0301e\u0308o\u0328 \u0301alone", "x\ufffdy z\x00w", "ﬁne ﬂow ﬀ", "½ ² ³ ㎏ Ⅷ ①",
    "≠ ≤ ≥ ∑ ∫ √ π ∞", "“quoted” ‘single’ — dash – en… ellipsis", "¿Qué? ¡Sí! «oui»", "$100 €50 £20 ¥10 ₿1", "100% #tag @name a_b c++ c#",
    "https://example.com/path?query=1&x=y#frag", "user@example.com", "3.14159 1,000,000 2026-01-31 12:34:56", "v1.2.3-rc.1+build",
    "[CLS] [SEP] [MASK] [PAD] [UNK] [unused1]", "##ing ##s # ## ###", "a" * 100, "a" * 101, "é" * 100, "é" * 101, "ab " * 50,
    "supercalifragilisticexpialidocious antidisestablishmentarianism", "xqzjkvwpf \u4e00\u4e01 \uf900 \U00020000 \U0002b740 \U0002b920",
    "\U0010ffff \ue000 private", "ǅ ǆ Ǆ ŉ ẞ ß ſ ẛ", "\u1e9b\u0323 \u212b \u2126 \u037e \u1fef", "\u3099\u309a か\u3099 ガ が", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝐛𝐨𝐥𝐝",
    "``code`` **bold** _it_ ~~x~~ | table | row |", "{\"json\": [1, 2.5e-3, null]}", "if (a && b || !c) { return x->y; }", "\\begin{equation} \\alpha",
    "ⅣⅤ Ⓐⓑ", "ᏣᎳᎩ ꮳꮃꭹ", "ა ბ Ა", "\u0345 \u03b1\u0345", "کتاب‌خانه", "မြန်မာ ខ្មែរ ລາວ", "ꜰᴏᴏ ʙᴀʀ", "l’homme d'État", "O'Neil's 90's",
]  # fmt: skip


def main():
    tokenizer = load_tokenizer()
    tokenizer.encode_special_tokens = True  # "[SEP]" in a text is text
    rng = random.Random(11)
    pool = [c for t in TEXTS for c in t]
    texts = TEXTS + ["".join(rng.choice(pool) for _ in range(rng.randint(1, 60))) for _ in range(300)]
    texts += ["".join(chr(rng.choice([rng.randint(1, 0x24F), rng.randint(1, 0x2FFF), rng.randint(1, 0xD7FF), rng.randint(0xE000, 0x2FFFF)]))
                      for _ in range(rng.randint(1, 40))) for _ in range(300)]  # fmt: skip
    path = Path(__file__).parents[2] / "src/text/testdata/wordpiece_golden.tsv"
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            out.write(text.encode().hex() + "\t" + " ".join(map(str, ids)) + "\n")


if __name__ == "__main__":
    main()
