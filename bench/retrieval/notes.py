#!/usr/bin/env python3
"""10,000 Markdown notes into a durable, searchable store, then 1 % of them changed and looked at again: beside LanceDB and LlamaIndex.

    tools/build.sh release
    bench/retrieval/notes.py [--quick] [--notes 10000] [--tessera PATH] [--record]

The notes are ingest_notes.py's. Ours: a server with an empty store is told of the folder (POST /api/ingest/directory) and asked until
the task is done: parsed, embedded, committed (synced), searchable in text and vectors; "tessera ingest" is the same from the command
line, with start and end of the process. LanceDB in Node (notes_lancedb.mjs: LangChain's splitter, full-text index and its default vector
index, IVF_PQ) and LlamaIndex over Chroma (notes_llama.py: vectors only) are durable as they are by default (ours syncs before it says
done) and timed from after loading their libraries. The peers' embedding is a mean of our vectors of the notes' words, a few hundred: as
cheap as an embedding can be; ours runs its model. Both cores for each. Then nothing is changed, then a word is added to 1 % of the notes, and each looks at the folder again; its new
word must be found. Ours knows unchanged files by their time and size, the peers read and hash all. --record writes notes.md.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import peers
from peers import machine

import ingest_notes
from hybrid_http import embed, post


def write_notes(folder, count):
    """The notes, made once and copied; their size in bytes."""
    kept = peers.DATA / f"notes-{count}"
    if not (kept / "done").exists():
        generator = random.Random(7)
        for number in range(count):
            path = kept / "notes" / f"{number // 500:03d}" / f"note-{number}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(ingest_notes.note(number, generator))
        (kept / "done").touch()
    shutil.copytree(kept / "notes", folder)
    return sum(path.stat().st_size for path in folder.rglob("*.md"))


def read(paths):
    start = time.monotonic()
    for path in paths:
        path.read_bytes()
    return time.monotonic() - start


def sync(folder, size):
    """Seconds to write and sync that many bytes."""
    block, start = os.urandom(1 << 20), time.monotonic()
    with open(folder / "sync", "wb") as out:
        for _ in range(int(size) // len(block)):
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    (folder / "sync").unlink()
    return time.monotonic() - start


class Notes:
    """The folder; `change` adds a new word to 1 % of the notes."""

    def __init__(self, folder, count):
        self.root, self.count, self.changes = folder / "notes", count, 0
        self.size = write_notes(self.root, count)
        self.paths = sorted(self.root.rglob("*.md"))

    def change(self):
        self.changes += 1
        word = "zyq" + "abcdefghijklmnopqrstuvwxyz"[self.changes % 26] * (self.changes // 26 + 3)
        picked = random.Random(self.changes).sample(self.paths, max(1, self.count // 100))
        for path in picked:
            with open(path, "a") as out:
                out.write(f"\nLater added: {word}.\n")
        time.sleep(2.5)  # a file changed within the last moments must be read again by all who go by times
        return word, picked


class Ours:
    name = "tessera"

    def __init__(self, store):
        self.store = store

    def run(self, notes, steps):
        """Seconds of each step, and what the store holds; a step is a function that changes the notes or None."""
        out = []
        with machine.Server("--ingest.roots", str(notes.root), directory=str(self.store)) as server:
            for step in steps:
                word = step() if step else "harbour"
                start = time.monotonic()
                task = json.loads(post(server.url + "/api/ingest/directory", {"path": str(notes.root)}))["task_id"]
                while (state := self.get(server, "/api/tasks/" + task))["state"] in ("queued", "running"):
                    time.sleep(0.002)
                seconds = time.monotonic() - start
                assert state["state"] == "done" and state["failed"] == 0, state
                hits = json.loads(post(server.url + "/api/search", {"query": word, "mode": "lexical", "top_k": 1000}))["results"]
                out.append({"seconds": seconds, "chunks": self.get(server, "/api/vector_db/stats")["chunks"], "found": len(hits)})
            out[0]["mb"] = max(peers.resident_mb(server.process.pid), 0)
        return out

    @staticmethod
    def get(server, path):
        with urllib.request.urlopen(server.url + path) as response:
            return json.loads(response.read())


class CommandLine:
    name = "tessera ingest"

    def __init__(self, store):
        self.store = store

    def run(self, notes, _steps):
        start = time.monotonic()
        answer = subprocess.run([machine.TESSERA, "ingest", str(notes.root), "--data", str(self.store), "--log.level", "error"],
                                check=True, capture_output=True, text=True).stdout
        return [{"seconds": time.monotonic() - start, "chunks": int(re.search(r"(\d+) chunks", answer)[1]), "mb": None}]


class Peer:
    def __init__(self, name, command, words, dimensions, store):
        self.name, self.command, self.arguments, self.store = name, command, [words, dimensions], store

    def run(self, notes, steps):
        out = []
        for step in steps:
            word = step() if step else "harbour"
            command = [*self.command, notes.root, self.store, *self.arguments, word]
            process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE if not DEBUG else None, text=True)
            answer = process.communicate()
            if process.returncode != 0:
                raise RuntimeError((answer[1] or "")[-300:])
            out.append(json.loads(answer[0].strip().split("\n")[-1]))
        out[0]["mb"] = None
        return out


def word_table(folder, notes):
    """The words of the notes with our vectors, for the peers' embedding."""
    words = set()
    for path in notes.paths[:300]:
        words |= set(re.findall("[a-z]+", path.read_text().lower()))
    words = sorted(words)
    with machine.Server() as server:
        vectors = embed(server.url, words)
    (folder / "words").write_text("\n".join(words) + "\n")
    vectors.tofile(folder / "words.f32")
    return folder / "words", vectors.shape[1]


def engines(options, words, dimensions):
    """What makes an engine of each name over a fresh store."""
    lance = f"LanceDB {peers.NODE['@lancedb/lancedb']} + Node {peers.node_version()}"
    llama = f"LlamaIndex {peers.LLAMA['llama-index-core']} + Chroma {peers.LLAMA['chromadb']}"
    known = {"tessera": Ours, "command": CommandLine,
             "lancedb": lambda store: Peer(lance, ["node", peers.HERE / "notes_lancedb.mjs", peers.node()], words, dimensions, store),
             "llama": lambda store: Peer(llama, [peers.venv("llama", peers.LLAMA), peers.HERE / "notes_llama.py"], words, dimensions, store)}
    return {name: known[name] for name in ["tessera", "command", *options.engines]}


def measure(options, folder, notes, known, report):
    """Results by engine: round -> the three steps. A peer takes minutes: the first has its rounds from the first on, the next from the second."""
    results, names, added = {name: {} for name in known}, {}, []

    def change():
        word, picked = notes.change()
        added[:] = picked
        return word

    for number in range(options.rounds):
        for name, make in known.items():
            first = options.engines.index(name) if name in options.engines else None
            if first is not None and not first <= number < first + options.peer_rounds:
                continue
            engine = make(folder / f"store-{name}")
            names[name] = engine.name
            try:
                steps = engine.run(notes, [None, None, change])
            except RuntimeError as why:
                report(f"**{engine.name} does not run here: {why}. Its row is missing.**\n")
                continue
            if len(steps) == 3 and steps[2]["found"] < len(added):
                report(f"**{engine.name} finds {steps[2]['found']} of {len(added)} changed notes by their new word.**\n")
            steps[0]["disk_mb"] = peers.folder_mb(engine.store)
            results[name][number] = steps
            stages = f" (rows in after {steps[0]['stages'][0]:.2f} s, text index after {steps[0]['stages'][1]:.2f} s)" if "stages" in steps[0] else ""
            print(f"{engine.name}, round {number + 1}: {', '.join(format(step['seconds'], '.2f') for step in steps)} s{stages}", file=sys.stderr, flush=True)
            shutil.rmtree(engine.store, ignore_errors=True)
    return results, names, list(added)


def table(options, folder, notes, results, names, added, report):
    whole = statistics.median(read(notes.paths) for _ in range(3))
    part = statistics.median(read(added) for _ in range(3))
    stored = list(results["tessera"].values())[-1][0]["disk_mb"]
    report("| System | First, s | notes/s | First x ours (spread) | Nothing changed, s | 1 % changed, s | beyond reading all, s | 1 % changed x ours (spread) | "
           "Chunks | Stored MB | Resident MB |")
    report("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, by_round in results.items():
        if not by_round:
            continue
        rounds = list(by_round.values())
        step = lambda number: statistics.median(one[number]["seconds"] for one in rounds)  # noqa: E731, B023
        pairs = lambda number: peers.ratio([(results["tessera"][at][number]["seconds"], one[number]["seconds"])  # noqa: E731
                                            for at, one in by_round.items()])  # noqa: B023
        again = f"{step(1):.3f} | {step(2):.3f} | {step(2) - whole:.3f} | {pairs(2)}" if len(rounds[0]) == 3 else "| | |"
        memory = rounds[-1][0]["mb"]
        report(f"| {names[name]} ({len(rounds)} round{'s' if len(rounds) > 1 else ''}) | {step(0):.2f} | {notes.count / step(0):,.0f} | {pairs(0)} | {again} | "
               f"{rounds[-1][0]['chunks']:,} | {rounds[-1][0]['disk_mb']:.0f} | {'' if memory is None else format(memory, '.0f')} |")
    report(f"\nLimits: reading all notes takes {whole:.3f} s, the changed ones {part * 1000:.1f} ms (Python, from the page cache); writing and syncing as many bytes as "
           f"we store takes {sync(folder, stored * 1e6):.2f} s. Opening a connection, the task and asking for its end are within our figures.")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--notes", type=int, default=10000)
    arguments.add_argument("--engines", nargs="*", default=["lancedb", "llama"])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--peer-rounds", type=int, default=1, help="of each peer: it takes minutes")
    arguments.add_argument("--quick", action="store_true", help="500 notes, 2 rounds")
    arguments.add_argument("--record", action="store_true", help="write notes.md")
    arguments.add_argument("--tessera", type=pathlib.Path, default=machine.TESSERA)
    arguments.add_argument("--debug", action="store_true", help="show what the peers say")
    options = arguments.parse_args()
    peers.run_in("search", peers.SEARCH)
    global DEBUG
    DEBUG = options.debug
    machine.TESSERA = options.tessera
    if options.quick:
        options.notes, options.rounds = 500, 2
    report = peers.Report(peers.HERE / "notes.md" if options.record else None)
    report("# Notes into a durable store beside LanceDB and LlamaIndex\n\nPrinted by `notes.py` (its first lines say how it measures).\n")
    report(machine.describe())
    with tempfile.TemporaryDirectory(dir=peers.PEERS) as folder:
        folder = pathlib.Path(folder)
        notes = Notes(folder, options.notes)
        words, dimensions = word_table(folder, notes)
        report(f"\n{notes.count:,} notes, {notes.size / 1e6:.1f} MB.\n")
        results, names, added = measure(options, folder, notes, engines(options, words, dimensions), report)
        table(options, folder, notes, results, names, added, report)


if __name__ == "__main__":
    main()
