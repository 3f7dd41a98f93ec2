#!/usr/bin/env python3
"""BM25 beside SQLite FTS5, tantivy, LanceDB and bm25s: building, size, and OR queries of 2, 4 and 16 words, best 10.

    cmake --preset bench && ninja -C build/bench engine_runner
    bench/retrieval/bm25.py [--quick] [--documents 100000 1000000] [--build DIR] [--engines NAME...] [--record]

corpus.py says what the texts and queries are. All engines share one core, each in a process of its own, none stems or drops stop
words, k1 1.2 and b 0.75. Building is from the file of texts to a searchable index on disk: ours as it takes in documents one by one
and saves (its maintenance thread, which writes segments meanwhile, has to share the one core); peers in bulk, as fast as their usual
interface goes, synced as they do by default. What an engine does afterwards (merges, "optimize", loading) is the column "then", in
processor time for ours. Then each answers the same queries, engine after engine, in rounds; a query's time is its
median over the rounds, and the analysis of its text counts. Within a round a peer has a few seconds: a slow one answers the first
queries only, and its ratio is over those. --record writes bm25.md.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import peers

K = 10
SIZES = (2, 4, 16)


class Peer:
    def __init__(self, name, folder):
        self.name, self.folder = name, folder / name
        self.process = subprocess.Popen([sys.executable, peers.HERE / "bm25_peer.py", name, str(self.folder)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if not DEBUG else None, text=True)
        self.version = self.read()["version"]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.read()

    def build(self, texts):
        return self.ask({"build": str(texts)})

    def search(self, texts, limit):
        return self.ask({"search": texts, "k": K, "limit": limit})

    def memory(self):
        return self.ask({"memory": 1})["mb"]

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Ours(Peer):
    def __init__(self, folder, runner):
        self.name, self.folder, self.version = "tessera", folder / "tessera", ""
        self.folder.mkdir()
        self.process = subprocess.Popen([runner, str(self.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.bare = peers.resident_mb(self.process.pid)

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("the engine's runner ended")
        return answer

    def build(self, texts):
        taken, saved = (list(map(float, self.command(command).split())) for command in (f"lexical {texts}", "save"))
        before = peers.processor_seconds(self.process.pid)
        peers.rest(self.process.pid)
        time.sleep(2)  # what was merged is saved after two quiet seconds
        peers.rest(self.process.pid)
        return {"seconds": [taken[0] + saved[0], taken[1] + saved[1]], "settle": peers.processor_seconds(self.process.pid) - before,
                "disk_mb": peers.folder_mb(self.folder)}

    def search(self, texts, limit):
        with tempfile.NamedTemporaryFile("w", dir=self.folder.parent) as file:
            file.write("".join(text + "\n" for text in texts))
            file.flush()
            answer, out = self.command(f"text {K} {file.name}"), []
            while answer.strip() != ".":
                wall, processor, *numbers = answer.split()
                out.append([float(wall), float(processor), [int(number) for number in numbers]])
                answer = self.process.stdout.readline()
        return out

    def memory(self):
        return peers.resident_mb(self.process.pid) - self.bare


def start(name, folder, runner):
    """The engine, or None, said loudly, if it does not run here."""
    if name == "tessera":
        return Ours(folder, runner)
    try:
        return Peer(name, folder)
    except RuntimeError as why:
        print(f"**{name} does not run here ({why}): its rows are missing.**", flush=True)
        return None


def build(names, folder, options, texts, rounds, report, documents):
    """Builds in turn, `rounds` times, and keeps the last of each engine; prints the table of building."""
    kept, results = {}, {name: [] for name in names}
    pathlib.Path(texts).read_bytes()  # into the system's cache, or the first engine pays for the disk
    for _ in range(rounds):
        for name in names:
            if name in kept:
                kept.pop(name).stop()
            engine = start(name, folder, options.build / "bench/engine_runner")
            if engine is None:
                continue
            try:
                one = engine.build(texts)
                results[name].append({**one, "seconds": one["seconds"][int(options.processor)]})
            except RuntimeError as why:
                report(f"**{name} failed while building ({why}): its rows are missing.**\n")
                continue
            kept[name] = engine
    report("| Engine | Build s | documents/s | then s | Index on disk, MB | Process grew by, MB | Build time x ours (spread) |")
    report("|---|---|---|---|---|---|---|")
    for name, engine in kept.items():
        seconds = statistics.median(one["seconds"] for one in results[name])
        settle = statistics.median(one["settle"] for one in results[name])
        pairs = [(ours["seconds"], one["seconds"]) for ours, one in zip(results["tessera"], results[name])]
        report(f"| {name} {engine.version} | {seconds:.1f} | {documents / seconds:,.0f} | {settle:.1f} | {results[name][-1]['disk_mb']:.0f} | "
               f"{engine.memory():.0f} | {peers.ratio(pairs)} |")
    count, seconds = map(float, kept["tessera"].command(f"words {texts}").split())
    report(f"\nThe limit of building is reading the texts' {count:,.0f} words and hashing each: {seconds:.2f} s of one core's time.")
    return kept


def overlap(ours, theirs):
    return statistics.mean(len(set(a) & set(b)) / max(1, len(a)) for a, b in zip(ours, theirs))


def compare(kept, texts, rounds, limit, clock):
    """Times by engine, query and round, and the numbers found."""
    times, found = {name: [] for name in kept}, {}
    for number in range(-1, rounds):  # the first round warms
        for name, engine in kept.items():
            answers = engine.search(texts, limit)
            found[name] = [numbers for _, _, numbers in answers]
            if number >= 0:
                times[name].append([one[clock] for one in answers])
    return times, found


def row(report, size, name, engine, times, found, floor):
    answered = min(map(len, times[name]))
    by_query = [statistics.median(one[query] for one in times[name]) for query in range(answered)]
    pairs = [(sum(ours[:answered]), sum(one[:answered])) for ours, one in zip(times["tessera"], times[name])]
    limit = f" | {statistics.mean(floor) * 1e6:.1f}" if name == "tessera" else " |"
    report(f"| {size} | {name} {engine.version} | {answered} | {statistics.mean(by_query) * 1e6:,.0f} | {peers.percentile(by_query, 0.5) * 1e6:,.0f} | "
           f"{peers.percentile(by_query, 0.95) * 1e6:,.0f} | {peers.ratio(pairs)} | {overlap(found['tessera'], found[name]):.2f}{limit} |")


def measure(options, documents, folder, report):
    import corpus
    texts, frequencies, words, sample = corpus.write(documents)
    report(f"\n## {documents:,} documents ({texts.stat().st_size / 1e6:.0f} MB)\n")
    rounds = 1 if documents > 200000 else options.builds
    kept = build(["tessera", *options.engines], folder, options, texts, rounds, report, documents)
    width = float(kept["tessera"].command("bandwidth"))
    report(f"\nThe limit is reading every posting of a query's words once at ten bits each, {width / 1e9:.1f} GB/s (measured, one thread).\n")
    report("| Words | Engine | Queries | Mean µs | p50 µs | p95 µs | Time x ours (spread) | Top 10 shared with ours | Limit, µs |")
    report("|---|---|---|---|---|---|---|---|---|")
    for size in SIZES:
        picked = corpus.queries(sample, size, options.queries)
        floor = [frequencies[numbers].sum() * 1.25 / width for numbers in picked]
        times, found = compare(kept, [" ".join(words[number] for number in numbers) for numbers in picked], options.rounds, options.limit,
                               int(options.processor))
        for name, engine in kept.items():
            row(report, size, name, engine, times, found, floor)
    for engine in kept.values():
        engine.stop()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--documents", type=int, nargs="+", default=[100000, 1000000])
    arguments.add_argument("--engines", nargs="+", default=["fts5", "tantivy", "lancedb", "bm25s"])
    arguments.add_argument("--queries", type=int, default=200)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--processor", action="store_true", help="processor time instead of wall time: for a machine that is not quiet")
    arguments.add_argument("--builds", type=int, default=2, help="rounds of building up to 200,000 documents; one above")
    arguments.add_argument("--limit", type=float, default=2, help="seconds of an engine in a round (but five queries at least)")
    arguments.add_argument("--quick", action="store_true", help="20,000 documents, 50 queries, 3 rounds, 1 of building")
    arguments.add_argument("--record", action="store_true", help="write bm25.md")
    arguments.add_argument("--build", type=pathlib.Path, default=peers.ROOT / "build/bench")
    arguments.add_argument("--debug", action="store_true", help="show what the peers say")
    options = arguments.parse_args()
    peers.run_in("search", peers.SEARCH)
    if options.quick:
        options.documents, options.queries, options.rounds, options.builds, options.limit = [20000], 50, 3, 1, 1
    global DEBUG
    DEBUG = options.debug
    peers.one_core()
    report = peers.Report(peers.HERE / "bm25.md" if options.record else None)
    report("# BM25 beside SQLite FTS5, tantivy, LanceDB and bm25s\n\nPrinted by `bm25.py` (its first lines say how it measures).\n")
    report(peers.machine.describe() + ("; times are processor time" if options.processor else ""))
    runner = options.build / "bench/engine_runner"
    if not runner.exists():
        raise SystemExit(f"{runner} is missing: build engine_runner with the preset bench")
    for documents in options.documents:
        with tempfile.TemporaryDirectory(dir=peers.PEERS) as folder:
            measure(options, documents, pathlib.Path(folder), report)


if __name__ == "__main__":
    main()
