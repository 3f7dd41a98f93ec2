"""General English text for the distillation, from Debian's documentation packages.

Writes work/corpus.jsonl, one passage a line: {"source", "title", "text"}. Nothing of it ends up in the model file but
statistics (token frequencies, and vectors fitted to the teacher's output).
"""

import gzip
import json
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

PACKAGES = """dict-gcide dict-wn dict-foldoc dict-jargon debian-handbook debian-reference-en developers-reference
debian-policy doc-debian git-doc gnome-user-docs gimp-help-en installation-guide-amd64 linux-doc-6.1 manpages
manpages-dev postgresql-doc-15 python3.11-doc sqlite3-doc fortunes""".split()
WORK = Path(__file__).parent / "work"
ROOT = WORK / "x"
BLOCKS = {"p", "li", "dd", "dt", "div", "td", "tr", "section", "br", "table", "ul", "ol", "dl", "blockquote"}
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "title"}
SKIPPED = {"script", "style", "pre", "nav", "head"}


def fetch():
    """Downloads and unpacks the packages below work/ without installing them."""
    debs = WORK / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    if not list(debs.glob("*.deb")):
        subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=debs, check=True)
    ROOT.mkdir(exist_ok=True)
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", deb, ROOT], check=True)


class Sections(HTMLParser):
    """Collects (heading, paragraphs) of a page."""

    def __init__(self):
        super().__init__()
        self.sections = [("", [])]
        self.buffer, self.heading, self.skip = [], None, 0

    def flush(self):
        text = re.sub(r"\s+", " ", "".join(self.buffer)).strip(" ¶#\t")
        self.buffer = []
        if not text:
            return
        if self.heading:
            self.sections.append((text, []))
        else:
            self.sections[-1][1].append(text)

    def handle_starttag(self, tag, attrs):
        if tag in SKIPPED:
            self.skip += 1
        if tag in BLOCKS or tag in HEADINGS:
            self.flush()
        if tag in HEADINGS:
            self.heading = tag

    def handle_endtag(self, tag):
        if tag in SKIPPED:
            self.skip = max(0, self.skip - 1)
        if tag in BLOCKS or tag in HEADINGS:
            self.flush()
        if tag in HEADINGS:
            self.heading = None

    def handle_data(self, data):
        if not self.skip:
            self.buffer.append(data)


def pieces(text, words_max=110):
    """Passages of at most about words_max words, cut at sentence ends."""
    current = []
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z\"(])", text):
        words = sentence.split()
        if current and len(current) + len(words) > words_max:
            yield " ".join(current)
            current = []
        current += words[:words_max]
    if current:
        yield " ".join(current)


def html_pages(folders):
    for source, folder, pattern in folders:
        for path in sorted((ROOT / folder).rglob(pattern)):
            parser = Sections()
            try:
                raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
                parser.feed(raw.decode("utf-8", "replace"))
                parser.flush()
            except Exception as error:  # a page that does not parse is left out, and said
                print("skipped", path, error, file=sys.stderr)
                continue
            for title, paragraphs in parser.sections:
                for passage in pieces(" ".join(paragraphs)):
                    yield {"source": source, "title": title, "text": passage}


def dictionary(name, clean):
    digits = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}

    def number(code):
        value = 0
        for c in code:
            value = value * 64 + digits[c]
        return value

    data = gzip.open(ROOT / f"usr/share/dictd/{name}.dict.dz").read()
    seen = set()
    for line in (ROOT / f"usr/share/dictd/{name}.index").read_text("utf-8", "replace").splitlines():
        fields = line.split("\t")
        if len(fields) != 3 or fields[0].startswith("00-") or fields[1] in seen:
            continue
        seen.add(fields[1])
        start, length = number(fields[1]), number(fields[2])
        text = clean(data[start : start + length].decode("utf-8", "replace"))
        yield {"source": name, "title": fields[0], "text": " ".join(text.split()[:110])}


def manuals():
    for path in sorted((ROOT / "usr/share/man").rglob("*.gz")):
        if not re.fullmatch(r"man\d", path.parent.name):
            continue
        raw = gzip.open(path).read().decode("utf-8", "replace")
        sections = re.split(r"^\.SH +\"?([^\"\n]+)\"?$", raw, flags=re.M)
        named = {t.strip(): re.sub(r"\\f.|\\&", "", re.sub(r"^\.[A-Z]+ ?", "", b, flags=re.M)) for t, b in zip(sections[1::2], sections[2::2])}
        name = re.sub(r"\s+", " ", named.get("NAME", "").replace("\\-", "-")).strip()
        body = re.sub(r"\s+", " ", re.sub(r"\\\(..|\\.", " ", named.get("DESCRIPTION", "")))
        for passage in pieces(body):
            yield {"source": "man", "title": name, "text": passage}


def plain(source, folder, pattern, separator):
    for path in sorted((ROOT / folder).rglob(pattern)):
        if path.is_symlink() or path.suffix in (".dat", ".u8"):
            continue
        raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        for paragraph in re.split(separator, raw.decode("utf-8", "replace")):
            text = re.sub(r"\s+", " ", paragraph).strip()
            for passage in pieces(text):
                yield {"source": source, "title": "", "text": passage}


def kernel():
    for path in sorted((ROOT / "usr/share/doc/linux-doc-6.1").rglob("*.rst.gz")):
        if "translations" in path.parts:
            continue
        for paragraph in re.split(r"\n\s*\n", gzip.open(path).read().decode("utf-8", "replace")):
            if paragraph.startswith((" ", "\t", "..", "=", "+", "|")):
                continue
            for passage in pieces(re.sub(r"\s+", " ", paragraph).strip()):
                yield {"source": "linux", "title": "", "text": passage}


def everything():
    page = "usr/share/doc/"
    yield from dictionary("gcide", lambda t: re.sub(r"\[[^\]]*\]|\\[^\\]*\\|[{}]|\(.*?\)", " ", t))
    yield from dictionary("wn", lambda t: re.sub(r"[{}]|\[syn:.*?\]|\[ant:.*?\]", " ", t, flags=re.S))
    yield from dictionary("foldoc", lambda t: re.sub(r"[{}]|<[^>]*>", " ", t))
    yield from dictionary("jargon", lambda t: re.sub(r"[{}]|<[^>]*>", " ", t))
    yield from manuals()
    yield from plain("fortunes", "usr/share/games/fortunes", "*", r"\n%\n")
    yield from kernel()
    yield from html_pages(
        [
            ("handbook", page + "debian-handbook/html/en-US", "*.html"),
            ("reference", "usr/share/debian-reference", "*.en.html"),
            ("developers", "usr/share/developers-reference", "*.html"),
            ("policy", page + "debian-policy", "*.html"),
            ("git", page + "git/html", "*.html"),
            ("gnome", "usr/share/help/C", "*.page"),
            ("gimp", "usr/share/gimp/2.0/help/en", "*.html"),
            ("install", page + "installation-guide-amd64/en", "*.html*"),
            ("postgres", page + "postgresql-doc-15", "*.html"),
            ("python", page + "python3.11/html", "*.html"),
            ("sqlite", page + "sqlite3", "*.html"),
        ]
    )


def main():
    fetch() if "--no-fetch" not in sys.argv else None
    random.seed(1)
    counts, seen = {}, set()
    with open(WORK / "corpus.jsonl", "w", encoding="utf-8") as out:
        for row in everything():
            words = row["text"].split()
            letters = sum(c.isalpha() or c == " " for c in row["text"])
            if len(words) < 4 or letters < 0.75 * len(row["text"]) or row["text"] in seen:
                continue
            seen.add(row["text"])
            counts[row["source"]] = counts.get(row["source"], 0) + 1
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(counts)


if __name__ == "__main__":
    main()
