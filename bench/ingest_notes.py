#!/usr/bin/env python3
"""10,000 generated Markdown notes (about 70 MB) through `tessera ingest` into an empty, durable store.

  bench/ingest_notes.py [NOTES] [ROUNDS]

Prints notes per second from the start of the command to its exit (parsed, embedded, committed, indexed), what reading
the files alone takes, and the second run, in which nothing changed.
"""
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from machine import TESSERA, describe, median

WORDS = """the of and to in is that for it as was with be by on not he his but at are this have from or had an they which
you were all her she there would their we him been has when who will more no if out so said what up its about into than
them can only other new some could time these two may then do first any my now such like our over man me even most made
after also did many before must through back years where much your way well down should because each just those people
mister how too little state good very make world still own see men work long get here between both life being under never
day same another know while last might us great old year off come since against go came right used take three harbour
engine meadow copper lantern circuit archive orchard glacier pigment turbine ledger compass thermal velvet granite oxygen
neuron silicon harvest railway cathedral vaccine molecule satellite contract monsoon estuary pendulum""".split()


def note(number, generator):
    """One note of about 7 KB: front matter, headings, paragraphs, a list, a code block."""
    lines = ["---", f"title: Note {number}", f"tags: [t{number % 17}, t{number % 5}]", "---", "", f"# Note {number}", ""]
    while sum(map(len, lines)) < 6700:
        lines += [f"## {' '.join(generator.choices(WORDS, k=4)).title()}", ""]
        for _ in range(3):
            lines += [". ".join(" ".join(generator.choices(WORDS, k=generator.randint(6, 18))).capitalize() for _ in range(5)) + ".", ""]
        lines += [f"- {' '.join(generator.choices(WORDS, k=6))}" for _ in range(4)] + [""]
        lines += ["```sh", f"run --note {number} --word {generator.choice(WORDS)}", "```", ""]
    return "\n".join(lines)


def write_notes(root, notes):
    """Writes them below `root`, 500 to a folder; returns their bytes."""
    generator = random.Random(7)
    size = 0
    for number in range(notes):
        path = root / f"{number // 500:03d}" / f"note-{number}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = note(number, generator)
        size += len(text)
        path.write_text(text)
    return size


def main():
    notes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(describe())
    with tempfile.TemporaryDirectory(prefix="tessera-notes-") as folder:
        root = pathlib.Path(folder) / "notes"
        size = write_notes(root, notes)
        first, second, read, cpu = [], [], [], []
        for _ in range(rounds):
            data = pathlib.Path(folder) / "data"
            shutil.rmtree(data, ignore_errors=True)
            command = [str(TESSERA), "ingest", str(root), "--data", str(data), "--log.level", "error"]
            for times in (first, second):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                start = time.monotonic()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                times.append(time.monotonic() - start)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                if times is first:
                    cpu.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
            start = time.monotonic()
            for path in root.rglob("*.md"):
                path.read_bytes()
            read.append(time.monotonic() - start)
        stored = sum(p.stat().st_size for p in data.rglob("*") if p.is_file())
        print(f"{notes} notes, {size / 1e6:.1f} MB; stored {stored / 1e6:.1f} MB; median of {rounds}")
        print(f"first ingest      {median(first):7.2f} s   {notes / median(first):8.0f} notes/s   {size / 1e6 / median(first):6.1f} MB/s   ({min(first):.2f} to {max(first):.2f} s)")
        print(f"processor time    {median(cpu):7.2f} s   (of all cores; half of it is the floor on two)")
        print(f"nothing changed   {median(second):7.2f} s")
        print(f"reading the files {median(read):7.2f} s   (the floor, from Python)")


if __name__ == "__main__":
    main()
