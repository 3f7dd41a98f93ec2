#!/usr/bin/env python3
"""Runs the measurements of bench/README.md one after the other and keeps what each printed in bench/results/.

  bench/run.py [NAME...]     names as in the table below; default: all. Run it on a machine that does nothing else.
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
EVAL = "build/bench/bench/extractive_eval"
SQUAD = "../shared/data/squad"
RUNS = {
    "start": ["python3", "bench/start.py"],
    "health": ["python3", "bench/health.py"],
    "ingest-notes": ["python3", "bench/ingest_notes.py"],
    "squad": [EVAL, "squad", SQUAD, "500", "even"],
    "manual": [EVAL, "manual", "docs", "bench/quality/manual_questions.tsv"],
}


def main():
    names = sys.argv[1:] or list(RUNS)
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        sys.exit(f"unknown measurement {unknown[0]}; there are: {', '.join(RUNS)}")
    subprocess.run(["tools/build.sh", "release"], cwd=ROOT, check=True)
    if any(RUNS[name][0] == EVAL for name in names):
        subprocess.run(["tools/build.sh", "bench", "extractive_eval"], cwd=ROOT, check=True)
    (ROOT / "bench/results").mkdir(exist_ok=True)
    for name in names:
        if name == "squad" and not (ROOT / SQUAD).exists():
            print(f"{name}: skipped, because {SQUAD} is not there")
            continue
        done = subprocess.run(RUNS[name], cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{name} failed:\n{done.stdout}{done.stderr}")
        text = f"$ {' '.join(RUNS[name])}\n{done.stdout}"
        (ROOT / f"bench/results/{name}.txt").write_text(text)
        print(text, flush=True)


if __name__ == "__main__":
    main()
