#!/usr/bin/env python3
"""Builds retrieval sets from Debian packages: `build_sets.py OUT [--squad FOLDER]`.

Each set is a folder with paragraphs.jsonl {"id", "title", "text"} and questions.jsonl {"question", "paragraph_id"}:
headings   a section's heading -> the section (which does not hold it)
sentences  a section's first sentence -> the rest of the section
faq        headings that are questions -> their answers, among all sections
manpages   the description in a manual page's NAME -> the page without its NAME
names      a name from a manual page's NAME -> the same page
gloss      WordNet's definition of a word -> GCIDE's definition, the word removed from both
german     as manpages, from the German manual pages
french     as manpages, from the French manual pages
code       the first sentence of a Python function's comment -> the function without its comment
idents     a Python function's name -> the function (others may call it)
*_typos    questions of the set with letters swapped, lost or doubled in about every third long word
*_keywords questions of the set cut to their three rarest words
Packages are downloaded and unpacked below OUT, not installed. Everything random is seeded.
"""

import argparse
import ast
import gzip
import json
import random
import re
import subprocess
import zlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

PACKAGES = """apache2-doc coreutils debian-faq dict-gcide dict-wn exim4-doc-html git-man libpython3.11-stdlib
libssl-doc manpages manpages-de manpages-dev manpages-fr nodejs-doc octave-doc perl-doc postfix-doc python-django-doc python-sqlalchemy-doc r-doc-html tcl8.6-doc zsh-doc""".split()
PAGES = [
    ("apache2-doc/manual/en", "*.html"), ("debian/FAQ", "*.en.html"), ("exim4-doc-html/spec_html", "*.html"),
    ("nodejs/api", "*.html*"), ("octave/octave.html", "*.html"), ("postfix/html", "*.html"), ("r-doc-html/manual", "*.html*"),
    ("python-django-doc/html", "*.html"), ("python-sqlalchemy-doc/html", "*.html"), ("zsh-common/html", "*.html"),
]
BLOCKS = {"p", "li", "dd", "dt", "div", "td", "tr", "section", "br", "table", "ul", "ol", "dl", "blockquote", "pre"}
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "title"}
SKIPPED = {"script", "style", "nav"}
PASSAGES_MAX, QUESTIONS_MAX = 8000, 2500


class Sections(HTMLParser):
    """Collects (heading, blocks) of a page."""

    def __init__(self):
        super().__init__()
        self.sections, self.buffer, self.in_heading, self.skipping = [("", [])], [], False, 0

    def flush(self):
        text = squeeze("".join(self.buffer)).strip("¶#§ ")
        self.buffer = []
        if text and self.in_heading:
            self.sections.append((text, []))
        elif text:
            self.sections[-1][1].append(text)

    def handle_starttag(self, tag, attrs):
        self.skipping += tag in SKIPPED
        if tag in BLOCKS or tag in HEADINGS:
            self.flush()
            self.in_heading = tag in HEADINGS

    def handle_endtag(self, tag):
        self.skipping = max(0, self.skipping - (tag in SKIPPED))
        if tag in BLOCKS or tag in HEADINGS:
            self.flush()
            self.in_heading = False

    def handle_data(self, data):
        if not self.skipping:
            self.buffer.append(data)


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def read(path):
    data = gzip.open(path).read() if path.suffix in (".gz", ".dz") else path.read_bytes()
    return data.decode("utf-8", "replace")


def fetch(root):
    debs = root / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    missing = [p for p in PACKAGES if not list(debs.glob(p + "_*.deb"))]
    if missing:
        subprocess.run(["apt-get", "download", "-q", *missing], cwd=debs, check=True)
    (root / "x").mkdir(exist_ok=True)
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", deb, root / "x"], check=True)


def pod_sections(path):
    text = re.sub(r"[BCFILSX]<+ ?([^<>]*?) ?>+", r"\1", read(path).replace("E<gt>", ">").replace("E<lt>", "<"))
    parts = re.split(r"^=(?:head\d|item) +(.+)$", text, flags=re.M)
    for heading, body in zip(parts[1::2], parts[2::2]):
        yield heading.strip(), squeeze(re.sub(r"^=\w+.*$", "", body, flags=re.M))


def sections(root):
    """(page title, heading, text), each text once."""
    seen = set()

    def new(title, heading, text):
        heading = re.sub(r"^(Chapter |[A-Z]\.)?[\d.]+[\s:]*", "", heading)
        words = text.split()
        if 30 <= len(words) <= 400 and text not in seen and sum(c.isalpha() or c == " " for c in text) > 0.7 * len(text):
            seen.add(text)
            return [(title, heading, text)]
        return []

    for folder, pattern in PAGES:
        for path in sorted((root / "x/usr/share/doc" / folder).rglob(pattern)):
            if path.is_symlink():
                continue
            page = Sections()
            page.feed(read(path))
            page.flush()
            title = next((heading for heading, _ in page.sections if heading), "")
            for heading, blocks in page.sections[1:]:
                yield from new(title, heading, " ".join(blocks))
    for path in sorted((root / "x/usr/share/perl").rglob("*.pod")):
        for heading, text in pod_sections(path):
            yield from new(path.stem, heading, text)


def manual_pages(root, language=""):
    """(names, description, text without NAME)"""
    seen = set()
    for path in sorted((root / "x/usr/share/man" / language).glob("man?/*.gz")):
        if path.is_symlink():
            continue
        raw = re.sub(r'^(\.\\"|\'\\"|\.(ds|de|if|ie|el|nr|so|IX|tr)\b).*\n', "", read(path), flags=re.M)
        parts = re.split(r'^\.S[Hh] +"?([^"\n]+)"?$', raw, flags=re.M)
        plain = lambda t: squeeze(re.sub(r"\\(s[-+]?\d|f\(..|f.|\*\(..|&|e)", "", re.sub(r"^\.\w+ ?", "", t, flags=re.M)).replace("\\-", "-").replace("\\", ""))
        bodies = list(zip(map(str.strip, parts[1::2]), map(plain, parts[2::2])))
        name = next((body for title, body in bodies if title.upper() in ("NAME", "BEZEICHNUNG", "NOM")), "")
        names, dash, description = name.partition(" - ")
        text = " ".join(f"{t}. {b}" for t, b in bodies if t.upper() not in ("NAME", "BEZEICHNUNG", "NOM"))
        text = " ".join(text.split()[:400])
        if dash and 3 <= len(description.split()) <= 25 and len(text.split()) >= 30 and text[:200] not in seen:
            seen.add(text[:200])
            yield [n for n in re.split(r"[, ]+", names) if n], description, text


def dictionary(root, name, clean):
    digits = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}
    number = lambda code: sum(digits[c] << 6 * i for i, c in enumerate(reversed(code)))
    data, found = gzip.open(root / f"x/usr/share/dictd/{name}.dict.dz").read(), {}
    for line in (root / f"x/usr/share/dictd/{name}.index").read_text("utf-8", "replace").splitlines():
        fields = line.split("\t")
        # Only words of the tenth that the embedding model's training left out (tools/distill/teach.py).
        plain = re.sub(r"\W+", " ", fields[0]).strip().lower()
        if len(fields) == 3 and not fields[0].startswith("00-") and zlib.crc32(plain.encode()) % 10 == 0 and plain not in found:
            text = clean(data[number(fields[1]) : number(fields[1]) + number(fields[2])].decode("utf-8", "replace"))
            text = re.sub(r"\b" + re.escape(plain) + r"\w*", "", text, flags=re.I)
            found[plain] = " ".join(re.sub(r"Syn: .*", "", text).split()[:110])
    return found


def glosses(root):
    gcide = dictionary(root, "gcide", lambda t: re.sub(r"\[[^\]]*\]|\\[^\\]*\\|[{}]|\(.*?\)", " ", t))
    wordnet = dictionary(root, "wn", lambda t: re.sub(r"[{}]|\[syn:.*?\]|\[ant:.*?\]", " ", t, flags=re.S))
    for word in sorted(set(gcide) & set(wordnet)):
        query = re.sub(r"^\W*(n|v|adj|adv)? ?1?: ", "", re.split(r" 2: ", re.sub(r'"[^"]*"', "", wordnet[word]))[0])
        if len(query.split()) >= 5 and len(gcide[word].split()) >= 6 and query[:30] not in gcide[word]:
            yield query, gcide[word]


def misspell(text, rng):
    words = text.split()
    for place, word in enumerate(words):
        if len(word) > 4 and rng.random() < 1 / 3:
            at = rng.randrange(1, len(word) - 1)
            words[place] = rng.choice([
                word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]])
    return " ".join(words)


def functions(root):
    """(name, first sentence of the comment, source with and without the comment) of Python's own library."""
    seen = set()
    for path in sorted((root / "x/usr/lib/python3.11").rglob("*.py")):
        if path.is_symlink() or "test" in path.as_posix() or "idle" in path.as_posix():
            continue
        source = read(path)
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            comment = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            if not comment or len(node.body) < 2:
                continue
            first = squeeze(re.split(r"(?<=[.!?])\s|\n\n", comment)[0])
            rest = "\n".join(lines[node.lineno - 1 : node.body[0].lineno - 1] + lines[node.body[0].end_lineno : node.end_lineno])
            if 5 <= len(first.split()) <= 30 and 15 <= len(rest.split()) <= 300 and rest not in seen:
                seen.add(rest)
                yield path.stem, node.name, first, rest


def keywords(passages):
    counts = Counter(w for _, text in passages for w in set(re.findall(r"\w+", text.lower())))

    def cut(text, _):
        words = list(dict.fromkeys(re.findall(r"\w+", text)))
        rare = set(sorted(words, key=lambda w: counts[w.lower()] or 10**9)[:3])
        return " ".join(w for w in words if w in rare)

    return cut


def write(root, name, passages, questions):
    """passages: (title, text); questions: (question, place of its passage). Beyond the limits a seeded sample."""
    rng = random.Random(name)
    questions = rng.sample(questions, min(QUESTIONS_MAX, len(questions)))
    kept = {place for _, place in questions}
    others = [place for place in range(len(passages)) if place not in kept]
    kept |= set(rng.sample(others, max(0, min(PASSAGES_MAX - len(kept), len(others)))))
    folder = root / name
    folder.mkdir(exist_ok=True)
    with open(folder / "paragraphs.jsonl", "w", encoding="utf-8") as out:
        for place in sorted(kept):
            out.write(json.dumps({"id": str(place), "title": passages[place][0], "text": passages[place][1]}) + "\n")
    with open(folder / "questions.jsonl", "w", encoding="utf-8") as out:
        for question, place in questions:
            out.write(json.dumps({"question": question, "paragraph_id": str(place)}) + "\n")
    print(f"{name}: {len(questions)} questions, {len(kept)} passages")
    return questions, kept


def vary(root, name, passages, questions, change):
    rng = random.Random(name)
    write(root, name, passages, [(change(question, rng), place) for question, place in questions])


def split_sentence(text):
    match = re.match(r"(.+?[.!?]) (?=[A-Z\"(])(.+)", text)
    return match.groups() if match else (text, "")


def section_sets(root):
    rows = list(sections(root))
    alone = Counter(heading.lower() for _, heading, _ in rows)
    passages = [(title, text) for title, _, text in rows]
    headed = [(h, i) for i, (t, h, _) in enumerate(rows) if alone[h.lower()] == 1 and len(h.split()) >= 2 and h not in t and t not in h]
    asked, _ = write(root, "headings", passages, headed)
    vary(root, "headings_typos", passages, asked, misspell)
    write(root, "faq", passages, [(h, i) for h, i in headed if h.endswith("?")])
    split = [(t, *split_sentence(text)) for t, _, text in rows]
    fits = [(i, t, first, rest) for i, (t, first, rest) in enumerate(split) if 6 <= len(first.split()) <= 30 and len(rest.split()) >= 30]
    write(root, "sentences", [(t, rest) for _, t, _, rest in fits], [(first, at) for at, (_, _, first, _) in enumerate(fits)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--squad", type=Path)
    options = parser.parse_args()
    root = options.out
    fetch(root)
    section_sets(root)
    pages = list(manual_pages(root))
    write(root, "manpages", [("", text) for _, _, text in pages], [(d, i) for i, (_, d, _) in enumerate(pages)])
    rng = random.Random(1)
    write(root, "names", [("", text) for _, _, text in pages], [(rng.choice(names), i) for i, (names, _, _) in enumerate(pages) if names])
    for name, language in (("german", "de"), ("french", "fr")):
        foreign = list(manual_pages(root, language))
        write(root, name, [("", text) for _, _, text in foreign], [(d, i) for i, (_, d, _) in enumerate(foreign)])
    code = list(functions(root))
    passages = [(module, rest) for module, _, _, rest in code]
    write(root, "code", passages, [(first, i) for i, (_, _, first, _) in enumerate(code)])
    alone = Counter(name for _, name, _, _ in code)
    write(root, "idents", passages, [(n, i) for i, (_, n, _, _) in enumerate(code) if alone[n] == 1 and not n.startswith("__")])
    pairs = list(glosses(root))
    write(root, "gloss", [("", text) for _, text in pairs], [(query, i) for i, (query, _) in enumerate(pairs)])
    if options.squad:
        lines = lambda name: [json.loads(line) for line in open(options.squad / name, encoding="utf-8")]
        paragraphs = lines("paragraphs.jsonl")
        place = {p["id"]: i for i, p in enumerate(paragraphs)}
        passages = [(p["title"], p["text"]) for p in paragraphs]
        questions = [(q["question"], place[q["paragraph_id"]]) for q in lines("questions.jsonl")[1::2]]  # the odd half
        vary(root, "squad_typos", passages, questions, misspell)
        vary(root, "squad_keywords", passages, questions, keywords(passages))


if __name__ == "__main__":
    main()
