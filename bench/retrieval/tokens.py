#!/usr/bin/env python3
"""Token counting against tiktoken of PyPI and of npm: identity on random texts, then speed on real texts.

  bench/retrieval/tokens.py RUNNER [--texts 1000000] [--pairs 15] [--npm-texts 100000] [--record]

RUNNER is the built bench target tokens_runner. Installs its peers under bench/retrieval/.peers. Speed is taken in pairs, ours and a
peer's one after the other, in processor time of the one thread; the ratio is the median over the pairs. --record writes tokens.md:
in one run, or identity alone (--pairs 0) and then, on a quiet machine, speed alone (--texts 0 keeps what is recorded of identity).
"""
import argparse
import gzip
import os
import pathlib
import platform
import statistics
import struct
import subprocess
import sys
import time
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = HERE / ".peers" / "tokens"
PYTHON = PEERS / "venv" / "bin" / "python"
PYPI_VERSION, NPM_VERSION = "0.14.0", "1.0.22"
NAMES = ["cl100k", "o200k"]
BAR = 8


def install():
    if not PYTHON.exists():
        venv.create(PEERS / "venv", with_pip=True)
        subprocess.run([PYTHON, "-m", "pip", "-q", "install", f"tiktoken=={PYPI_VERSION}"], check=True)
    if not (PEERS / "npm/node_modules/tiktoken").exists():
        (PEERS / "npm").mkdir(parents=True, exist_ok=True)
        (PEERS / "npm/package.json").write_text("{}")
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", f"tiktoken@{NPM_VERSION}"], cwd=PEERS / "npm", check=True)


class Process:
    """Our runner, or npm's tiktoken behind the same requests."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, operation, name, text):
        self.process.stdin.write(struct.pack("<cBI", operation, NAMES.index(name) + 1, len(text)) + text)
        self.process.stdin.flush()

    def ids(self, name, text):
        self.ask(b"e", name, text)
        count = struct.unpack("<I", self.process.stdout.read(4))[0]
        return self.process.stdout.read(count * 4)

    def reset(self, name):
        self.ask(b"r", name, b"")
        self.process.stdout.read(4)

    def seconds(self, operation, name, text):
        self.ask(operation, name, text)
        return struct.unpack("<dQ", self.process.stdout.read(16))


def identity(ours, peer, count, seed):
    """Number of texts that differ, shown; `peer` gives the ids of (name, text) as bytes."""
    import random

    import fuzz_texts
    rng, wrong, size = random.Random(seed), 0, 0
    for number in range(count):
        text = fuzz_texts.text(rng)
        data = text.encode()
        size += len(data)
        for name in NAMES:
            if ours.ids(name, data) != peer(name, text, data):
                wrong += 1
                if wrong <= 10:
                    print(f"differs: {name} {ascii(text)}", file=sys.stderr)
        if number % 100000 == 0:
            print(f"{number:,} of {count:,}, {wrong} differ", file=sys.stderr)
    return wrong, size


def real_texts():
    """The product's manual and source; manual pages in eight languages, from Debian's packages."""
    def read(files):
        return "\n".join(f.read_text() for f in sorted(files))

    texts = {"documentation (Markdown)": read((ROOT / "docs").rglob("*.md")) + read(ROOT.glob("*.md")),
             "source code (C++)": read((ROOT / "src").rglob("*.cc"))}
    pages = []
    for language in ["de", "fr", "ru", "ja", "zh_CN", "ko", "pl", "es"]:
        for page in sorted(pathlib.Path("/usr/share/man", language).rglob("*.gz"))[:60]:
            try:
                pages.append(gzip.decompress(page.read_bytes()).decode())
            except (OSError, UnicodeDecodeError):
                continue
    texts["manual pages, 8 languages"] = "\n".join(pages)
    texts["the same, texts of 1,000 characters"] = [texts["manual pages, 8 languages"][i:i + 1000] for i in
                                                    range(0, min(len(texts["manual pages, 8 languages"]), 300000), 1000)]
    return {what: text for what, text in texts.items() if text}


def python_seconds(encoding, text):
    start = time.thread_time()
    tokens = len(encoding.encode_ordinary(text))
    return time.thread_time() - start, tokens


def measure(ours, npm, encodings, pairs, report):
    report(f"Speed in processor time of one thread, median of {pairs} interleaved rounds. \"count\" is `BpeCounter`, new for each pass over a\n"
           "text (its workspace is allocated, but no piece is known); \"alone\" is `BpeVocabulary::count_tokens`, which keeps nothing from call\n"
           "to call.\n")
    report("| Text | Vocabulary | MB | bytes a token | ours: count, MB/s | alone, MB/s | encode, MB/s | PyPI, MB/s | count / PyPI | alone / PyPI | npm, MB/s | count / npm |")
    report("|---|---|---|---|---|---|---|---|---|---|---|---|")
    lowest = {"PyPI": {}, "npm": {}}
    for what, text in real_texts().items():
        parts = text if isinstance(text, list) else [text]
        data = [part.encode() for part in parts]
        size = sum(map(len, data))
        for name in NAMES:
            rows = []
            for _ in range(pairs):
                ours.reset(name)  # no pass knows the text of the one before
                count, alone, encode, node = ([one.seconds(op, name, part) for part in data] for one, op in
                                       ((ours, b"c"), (ours, b"o"), (ours, b"t"), (npm, b"c")))
                python = [python_seconds(encodings[name], part) for part in parts]
                totals = [sum(part[1] for part in column) for column in (count, alone, encode, python)]
                assert len(set(totals)) == 1, (what, name, totals)
                rows.append([sum(part[0] for part in column) for column in (count, alone, encode, python, node)])
            count, alone, encode, python, node = (size / statistics.median(row[i] for row in rows) / 1e6 for i in range(5))
            by_pypi, alone_by_pypi, by_npm = (statistics.median(row[i] / row[j] for row in rows) for i, j in ((3, 0), (3, 1), (4, 0)))
            lowest["PyPI"][what, name], lowest["npm"][what, name] = by_pypi, by_npm
            report(f"| {what} | {name} | {size / 1e6:.2f} | {size / totals[0]:.2f} | {count:.0f} | {alone:.0f} | {encode:.0f} | {python:.1f} | "
                  f"**{by_pypi:.1f}** | {alone_by_pypi:.1f} | {node:.1f} | **{by_npm:.1f}** |")
    report(f"\nThe bar is {BAR} times, in every row.")
    for peer, ratios in lowest.items():
        missed = [f"{what} in {name} ({ratio:.1f})" for (what, name), ratio in ratios.items() if ratio < BAR]
        report(f"Against {peer}: {min(ratios.values()):.1f} to {max(ratios.values()):.1f}; " + ("missed: " + ", ".join(missed) if missed else "met") + ".")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("runner")
    arguments.add_argument("--texts", type=int, default=1000000)
    arguments.add_argument("--npm-texts", type=int, default=100000)
    arguments.add_argument("--pairs", type=int, default=15)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--record", action="store_true", help="write tokens.md")
    options = arguments.parse_args()
    install()
    if pathlib.Path(sys.prefix) != PEERS / "venv":
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    sys.path[:0] = [str(HERE), str(ROOT / "tools" / "vocabularies")]
    import peers
    import ranks
    recorded = [line for line in (HERE / "tokens.md").read_text().splitlines() if line.startswith("Identity with ")]
    report = peers.Report(HERE / "tokens.md" if options.record else None)
    package = PEERS / "npm/node_modules/tiktoken"
    encodings = {name: ranks.reference(name, package)[0] for name in NAMES}
    ours = Process([options.runner])
    npm = Process(["node", str(HERE / "tokens_peer.mjs"), str(PEERS / "npm")])
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    report("# Token counting against tiktoken\n\n"
           "Printed by `tokens.py` (its first lines say how it measures), runner: target `tokens_runner` of preset `bench`.\n")
    report(f"Machine: {cpu}, {os.cpu_count()} processors, Linux {platform.release()}. "
          f"Peers: tiktoken {PYPI_VERSION} (PyPI), tiktoken {NPM_VERSION} (npm, WebAssembly, Node {subprocess.check_output(['node', '--version'], text=True).strip()}).\n")

    def python_ids(name, text, _data):
        ids = encodings[name].encode_ordinary(text)
        return struct.pack(f"<{len(ids)}I", *ids)

    wrong = 0
    for what, peer, count in (("PyPI", python_ids, options.texts), ("npm", lambda name, _text, data: npm.ids(name, data), options.npm_texts)):
        if options.texts == 0:
            break
        differ, size = identity(ours, peer, count, options.seed)
        wrong += differ if what == "PyPI" else 0
        report(f"Identity with {what}: {count:,} random texts ({size / 1e6:.1f} MB, seed {options.seed}), each in both vocabularies, encoded "
               f"and counted with and without a counter that remembers: {differ} differ.\n")
    for line in recorded if options.texts == 0 else []:
        report(line + "\n")
    if options.pairs:
        measure(ours, npm, encodings, options.pairs, report)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
