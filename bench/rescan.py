#!/usr/bin/env python3
"""A directory of 10,000 notes that a running server has taken in: 1 % changed, and the directory given to it again.

  bench/rescan.py [NOTES] [ROUNDS]

Prints the time from the request to the task's end (all changes durable and searchable): for an unchanged directory, for
1 % of the notes changed, and for the same right after a restart; beside it what walking the tree and reading the changed
files take (from Python, with what the system has cached).
"""
import json
import os
import pathlib
import random
import sys
import tempfile
import time
import urllib.request

from ingest_notes import write_notes
from machine import Server, describe, median


def call(server, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def scan(server, root):
    """Seconds and counts of one pass."""
    start = time.monotonic()
    task_id = call(server, "POST", "/api/ingest/directory", {"path": str(root)})["task_id"]
    while (task := call(server, "GET", f"/api/tasks/{task_id}"))["state"] == "running":
        time.sleep(0.002)
    seconds = time.monotonic() - start
    if task["state"] != "done" or task.get("failed"):
        raise SystemExit(f"the pass failed: {task}")
    return seconds, task


def walk(root):
    """Seconds of a walk that looks at every file."""
    start = time.monotonic()
    for folder, _, names in os.walk(root):
        for name in names:
            os.stat(os.path.join(folder, name))
    return time.monotonic() - start


def change(files, count, generator):
    """Changes some notes; returns the seconds that reading them takes."""
    chosen = generator.sample(files, count)
    for path in chosen:
        path.write_text(path.read_text() + f"\nChanged to {generator.random()}.\n")
    start = time.monotonic()
    for path in chosen:
        path.read_bytes()
    return time.monotonic() - start


def main():
    notes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    print(describe())
    with tempfile.TemporaryDirectory(prefix="tessera-rescan-") as folder:
        root = pathlib.Path(folder).resolve() / "notes"
        size = write_notes(root, notes)
        files = sorted(root.rglob("*.md"))
        generator = random.Random(3)
        data = str(pathlib.Path(folder) / "data")
        flags = ("--ingest.roots", str(root))
        time.sleep(2.1)  # younger files are read again by the next pass
        same, changed, restarted, walked, read = [], [], [], [], []
        with Server(*flags, directory=data) as server:
            first, _ = scan(server, root)
            for _ in range(rounds):
                same.append(scan(server, root)[0])
                walked.append(walk(root))
                read.append(change(files, notes // 100, generator))
                seconds, task = scan(server, root)
                assert task["updated"] == notes // 100, task
                changed.append(seconds)
                time.sleep(2.1)
                scan(server, root)  # settles the stamps of what was changed
        for _ in range(rounds):
            change(files, notes // 100, generator)
            with Server(*flags, directory=data) as server:
                seconds, task = scan(server, root)
                assert task["updated"] == notes // 100, task
                restarted.append(seconds)
            time.sleep(2.1)
            with Server(*flags, directory=data) as server:
                scan(server, root)
        print(f"{notes} notes, {size / 1e6:.1f} MB; median of {rounds} (lowest to highest)")
        for name, times in (("nothing changed", same), ("1 % changed", changed), ("1 % changed, after a restart", restarted),
                            ("walking the tree from Python", walked), ("reading the changed files", read)):
            print(f"{name:30s} {median(times) * 1e3:8.1f} ms   ({min(times) * 1e3:.1f} to {max(times) * 1e3:.1f} ms)")
        print(f"{'first pass':30s} {first * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
