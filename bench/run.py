#!/usr/bin/env python3
"""Runs the measurements of bench/README.md one after the other and keeps what each printed.

  bench/run.py                 those of the product itself
  bench/run.py peers           those beside peers, which are installed under bench/retrieval/.peers (PyPI, npm; an hour and more)
  bench/run.py NAME...         some of them; `bench/run.py list` names all
  --squad DIR                  SQuAD v1.1 dev, for the ones that need it (bench/quality/README.md says in which form)
  --quick                      beside peers: small data, to try the scripts out; nothing is recorded

Run it on a machine that does nothing else. Results go to bench/results/NAME.txt, or to the file of Markdown beside the script.
"""
import argparse
import pathlib
import subprocess
import sys
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = "build/bench/bench"
SETS = "build/quality"
SQUAD = "{squad}"
RECORDS = "records"  # the script writes its own file


@dataclass
class Run:
    command: list  # or several, one after the other, their output in one file
    targets: list = field(default_factory=list)  # of the preset bench
    peers: bool = False
    result: str = ""  # where the output goes; default: bench/results/NAME.txt
    quick: list = field(default_factory=list)


def micro(name):
    return Run([f"{BUILD}/{name}_bench", "--benchmark_min_time=0.2"], [f"{name}_bench"])


def peer(name, targets):
    return Run([f"bench/retrieval/{name}.py", "--record"], targets, True, RECORDS, ["--quick"])


RUNS = {
    "start": Run(["bench/start.py"]),
    "health": Run(["bench/health.py"]),
    "ingest-notes": Run(["bench/ingest_notes.py"]),
    "rescan": Run(["bench/rescan.py"]),
    "squad": Run([f"{BUILD}/extractive_eval", "squad", SQUAD, "500", "even"], ["extractive_eval"]),
    "manual": Run([f"{BUILD}/extractive_eval", "manual", "docs", "bench/quality/manual_questions.tsv"], ["extractive_eval"]),
    "quality": Run([["bench/quality/heading.py"], [f"{BUILD}/retrieval_eval", SETS, SQUAD], [f"{BUILD}/selection_eval", SETS, SQUAD]],
                   ["retrieval_eval", "selection_eval"], result="bench/quality/results.md"),
    "account": micro("account"),
    "embedding": micro("embedding"),
    "filter": micro("filter"),
    "index": micro("index"),
    "index-limits": Run([f"{BUILD}/index_limits_bench"], ["index_limits_bench"]),
    "lexical": micro("lexical"),
    "relay": micro("relay"),
    "router": micro("router"),
    "store": micro("store"),
    "vector-plans": micro("vector_plans"),
    "bm25": peer("bm25", ["engine_runner"]),
    "filtered": peer("filtered", ["engine_runner"]),
    "hybrid_http": peer("hybrid_http", ["http_load"]),
    "notes": peer("notes", []),
    "vector": peer("vector", ["tessera_index"]),
    "tokens": Run(["bench/retrieval/tokens.py", f"{BUILD}/tokens_runner"], ["tokens_runner"], True,
                  quick=["--texts", "10000", "--npm-texts", "1000", "--pairs", "3"]),
}


def uses(run, word):
    return any(word in (part if isinstance(part, list) else [part]) for part in run.command)


def commands(run, options):
    parts = run.command if isinstance(run.command[0], list) else [run.command]
    parts = [[str(options.squad) if word == SQUAD else word for word in part] for part in parts]
    if options.quick and run.peers:
        parts = [[word for word in part if word != "--record"] + run.quick for part in parts]
    return [["python3", *part] if part[0].endswith(".py") else part for part in parts]


def measure(name, run, options):
    printed = []
    for command in commands(run, options):
        # An evaluation that misses its bar says so, and is kept like any other.
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode not in (0, 3):
            sys.exit(f"{name} failed:\n{done.stdout}{done.stderr}")
        shown = " ".join("SQUAD" if word == str(options.squad) else word for word in command)
        printed.append(done.stdout if run.result else f"$ {shown}\n{done.stdout}")
    text = "\n".join(printed)
    if run.result != RECORDS and not (options.quick and run.peers):
        path = ROOT / (run.result or f"bench/results/{name}.txt")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    print(f"== {name}\n{text}", flush=True)


def chosen(names):
    if names == ["list"]:
        sys.exit("\n".join(f"{name:<14}{'beside peers' if run.peers else ''}" for name, run in RUNS.items()))
    out = []
    for name in names or ["own"]:
        if name in ("own", "peers"):
            out += [each for each, run in RUNS.items() if run.peers == (name == "peers")]
        elif name in RUNS:
            out.append(name)
        else:
            sys.exit(f"unknown measurement {name}; there are: own, peers, {', '.join(RUNS)}")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--squad", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    names = []
    for name in chosen(options.names):
        if uses(RUNS[name], SQUAD) and options.squad is None:
            print(f"{name}: left out, because it needs --squad DIR", flush=True)
        elif uses(RUNS[name], SETS) and not (ROOT / SETS).exists():
            print(f"{name}: left out, because {SETS} is not there; bench/quality/README.md says how it is made", flush=True)
        else:
            names.append(name)
    if options.squad is not None:
        options.squad = options.squad.resolve()
    subprocess.run(["tools/build.sh", "release"], cwd=ROOT, check=True)
    targets = sorted({target for name in names for target in RUNS[name].targets})
    if targets:
        subprocess.run(["tools/build.sh", "bench", *targets], cwd=ROOT, check=True)
    for name in names:
        measure(name, RUNS[name], options)


if __name__ == "__main__":
    main()
