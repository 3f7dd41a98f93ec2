"""Random texts that are hard on tokenizers: mixed scripts, white space, digits, contractions, emoji, code, any code point."""
import random

SCRIPTS = [(0x41, 0x7A), (0xC0, 0x24F), (0x370, 0x3FF), (0x400, 0x52F), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F),
           (0xE00, 0xE7F), (0x10A0, 0x10FF), (0x1C80, 0x1CBF), (0x1E00, 0x1EFF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
           (0xAC00, 0xD7A3), (0xFF00, 0xFFEF), (0x1D400, 0x1D7FF), (0x10400, 0x1044F), (0x13A0, 0x13FF)]
SPACES = " \t\n\r\v\f\x1c\x85\xa0\u1680\u2003\u2028\u2029\u202f\u3000\u200b\ufeff"
MARKS = "\u0300\u0301\u0308\u05b0\u064b\u093e\u0940\u0e31\u20e3\ufe0f\u1abe\u0483"
CASES = "ǅǈʰˇªºⅠⅻⓐßſKİıŉﬁΣς\u2160\u24b6"
CONTRACTIONS = ["'s", "'S", "'t", "'re", "'RE", "'Ve", "'m", "'LL", "'ll", "'d", "'ſ", "'lL", "'l", "'r", "''s", "’s", "'sx", "'"]
WORDS = ("the of and Tokenizer HTTPServer getElementById naïve Straße İstanbul ΟΔΟΣ привет 世界 こんにちは 한국어 สวัสดี "
         "नमस्ते שלום مرحبا fooBar FOO_BAR 3rd 0xDEADBEEF v1.2.3 <|endoftext|> <|fim_prefix|> return std::vector<int> i++ "
         "//comment http://x.y/z#a=b& \\n \\u00e9 {\"a\":[1,2]} SELECT * $$$ ---- ==== #### ....").split(" ")
EMOJI = ["😀", "👨‍👩‍👧‍👦", "🇩🇪", "❤️", "👍🏽", "1️⃣", "🏴\U000e0067\U000e0062\U000e007f"]


def scalar(rng, low=0, high=0x10FFFF):
    while True:
        value = rng.randint(low, high)
        if not 0xD800 <= value < 0xE000:
            return chr(value)


def part(rng):
    kind = rng.randrange(14)
    if kind == 0:
        low, high = rng.choice(SCRIPTS)
        return "".join(scalar(rng, low, high) for _ in range(rng.randint(1, 8)))
    if kind == 1:
        return "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 4)))
    if kind == 2:
        return rng.choice([" ", "\n", "\t", "  ", "\r\n", "\n\n"]) * rng.randint(1, 5)
    if kind == 3:
        return str(rng.randrange(10 ** rng.randint(1, 9)))
    if kind == 4:
        return rng.choice(CONTRACTIONS)
    if kind == 5:
        return rng.choice(EMOJI)
    if kind == 6:
        return "".join(chr(rng.randint(0x21, 0x7E)) for _ in range(rng.randint(1, 6)))
    if kind == 7:
        return rng.choice(MARKS) * rng.randint(1, 2)
    if kind == 8:
        return rng.choice(CASES)
    if kind == 9:
        return scalar(rng, 0, rng.choice([0x7F, 0x7FF, 0xFFFF, 0x10FFFF]))
    if kind == 10:
        return rng.choice("aA0-/ \n'.中\u0301") * rng.randint(1, rng.choice([4, 20, 200]))
    word = rng.choice(WORDS)
    return rng.choice([word, " " + word, word.upper(), word.capitalize(), " " + word])


def text(rng):
    return "".join(part(rng) for _ in range(rng.randint(1, rng.choice([3, 8, 16]))))


def texts(seed, count):
    rng = random.Random(seed)
    return [text(rng) for _ in range(count)]
