#!/usr/bin/env python3
"""Vector search side by side: src/index/vector (graph, exact scan, filters, files), hnswlib (Debian's libhnswlib-dev,
-O3 -march=native), and, with --python-peers, FAISS and usearch (PyPI, installed into .peers/ beside this file).

    cmake --preset bench && ninja -C build/bench tessera_index
    bench/retrieval/vector.py [--rows 200000] [--dimensions 256 384] [--python-peers] [--build DIR]

Data: ROWS / 2,000 centres, each component from a normal distribution of variance 1; a vector is a centre drawn at
random plus as much normal noise, brought to length 1; queries are drawn in the same way. Noise fills every dimension,
so neighbours within a cluster differ little and no cluster is a small world of its own: hnswlib needs ef of 60 and more
for a recall@10 of 0.95. numpy's generator, seed 7.

Every engine has m 16 and ef_construction 200 and answers 500 queries on one thread with the smallest ef that reaches a
recall@10 of 0.95; hnswlib and ours build in turns of 1,000 vectors and answer in nine interleaved rounds (the median
counts). A second row of ours leaves ef to the index: it measures its recall on rows it holds back while it builds. Memory
of ours is what it holds before it is saved, and after (then the second byte of each component is left in its file and
read for the best candidates only); of hnswlib what the process grew by, less ours.

Filters: each share of the rows at random, and, anti-correlated, the clusters least like the query; 100 queries, ef left
to the index. Restart: the time to map the saved index, and to answer the first query. Prints Markdown.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = HERE / ".peers"
sys.path.insert(0, str(HERE.parent))
import machine  # noqa: E402

PYTHON_PEERS = ["numpy", "faiss-cpu", "usearch"]


def install():
    """numpy always (for the data), FAISS and usearch for their rows."""
    python = PEERS / "venv/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS / "venv")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PYTHON_PEERS], check=True)
    if pathlib.Path(sys.prefix).resolve() != (PEERS / "venv").resolve():
        os.execv(python, [str(python), *sys.argv])


def compile_bench(build):
    libraries = [build / f"src/{room}/libtessera_{room}.a" for room in ("index", "core", "async", "text", "base")]
    missing = [str(path) for path in libraries if not path.exists()]
    if missing:
        raise SystemExit(f"not built: {', '.join(missing)}; build tessera_index with the preset bench first")
    PEERS.mkdir(exist_ok=True)
    out = PEERS / "vector"
    subprocess.run(["clang++-19", "-std=c++17", "-O3", "-march=native", "-w", "-c", HERE / "vector.hnswlib.cc",
                    "-o", PEERS / "hnswlib.o"], check=True)
    subprocess.run(["clang++-19", "-std=c++23", "-O2", "-DNDEBUG", f"-I{ROOT / 'src'}", HERE / "vector.cc",
                    PEERS / "hnswlib.o", "-Wl,--start-group", *libraries, "-Wl,--end-group",
                    "-lfmt", "-lspdlog", "-lssl", "-lcrypto", "-lxxhash", "-lpthread", "-o", out], check=True)
    return out


def generate(rows, dimensions):
    import numpy as np
    random = np.random.default_rng(7)
    centres = random.standard_normal((max(1, rows // 2000), dimensions), dtype=np.float32)

    def draw(count):
        labels = random.integers(len(centres), size=count)
        points = centres[labels] + random.standard_normal((count, dimensions), dtype=np.float32)
        return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels.astype(np.uint32)

    (data, labels), (queries, _) = draw(rows), draw(500)
    paths = [PEERS / f"{rows}x{dimensions}.{kind}" for kind in ("data", "queries", "labels")]
    for path, values in zip(paths, (data, queries, labels)):
        values.tofile(path)
    return data, queries, paths


def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def python_peer(name, data, queries, truth):
    """ef, recall, queries a second, seconds to build, MB, as the C++ side prints them."""
    import numpy as np
    before, start = resident_mb(), time.monotonic()
    if name == "faiss":
        import faiss
        faiss.omp_set_num_threads(1)
        index = faiss.IndexHNSWFlat(data.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 200
        index.add(data)
        version = faiss.__version__

        def search(ef):
            index.hnsw.efSearch = ef
            return index.search(queries, 10)[1]
    else:
        import usearch
        from usearch.index import Index
        index = Index(ndim=data.shape[1], metric="ip", dtype="f32", connectivity=16, expansion_add=200)
        index.add(np.arange(len(data)), data, threads=1)
        version = usearch.__version__

        def search(ef):
            index.expansion_search = ef
            return index.search(queries, 10, threads=1).keys
    seconds, memory = time.monotonic() - start, resident_mb() - before

    def recall(ef):
        return sum(len(set(a) & set(b)) for a, b in zip(search(ef).tolist(), truth.tolist())) / truth.size
    high = 16
    while recall(high) < 0.95 and high < 4096:
        high *= 2
    low = high // 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if recall(middle) >= 0.95 else (middle + 1, high)
    rates = []
    for _ in range(9):
        start = time.monotonic()
        search(high)
        rates.append(len(queries) / (time.monotonic() - start))
    return f"{name} {version}|{high}|{recall(high):.4f}|{machine.median(rates):.0f}|{seconds:.1f}|{memory:.1f}"


def table(lines, rows, dimensions):
    print(f"\n## {rows:,} x {dimensions}\n")
    print("| Engine | ef | Recall@10 | Queries/s | Build s | MB | MB saved | QPS x hnswlib | Memory x | Build speed x |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    peer = None
    for name, *rest in (line for kind, *line in lines if kind == "engine"):
        ef, recall, rate, seconds, memory, saved = (float(x) for x in rest)
        peer = peer or (rate, seconds, memory)
        held = f"{seconds:.1f} | {memory:.1f} | {saved:.1f}" if seconds else "| | "
        ratios = f"{memory / peer[2]:.2f}, {saved / peer[2]:.2f} | {peer[1] / seconds:.2f}" if seconds else "| "
        print(f"| {name} | {ef:.0f} | {recall:.3f} | {rate:,.0f} | {held} | {rate / peer[0]:.2f} | {ratios} |")
    print("\n| Filter | Share | Plan of most | Recall@10 | Queries/s | x own unfiltered |\n|---|---|---|---|---|---|")
    for name, share, plan, recall, rate, ratio in (line for kind, *line in lines if kind == "filter"):
        print(f"| {name} | {float(share):.2%} | {plan} | {float(recall):.3f} | {int(rate):,} | {ratio} |")
    one = {kind: line for kind, *line in lines if kind in ("save", "restart", "mapped")}
    print(f"\nSaved in {one['save'][0]} s; mapped again in {one['restart'][0]} ms, first answer after {one['restart'][1]} ms; "
          f"{int(one['mapped'][0]):,} queries/s over mapped pages.")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=200000)
    options.add_argument("--dimensions", type=int, nargs="+", default=[256, 384])
    options.add_argument("--python-peers", action="store_true", help="FAISS and usearch too")
    options.add_argument("--build", type=pathlib.Path, default=ROOT / "build/bench")
    chosen = options.parse_args()
    install()
    program = compile_bench(chosen.build)
    hnswlib = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libhnswlib-dev"], capture_output=True, text=True, check=True)
    print(machine.describe() + f"; hnswlib {hnswlib.stdout}")
    for dimensions in chosen.dimensions:
        data, queries, paths = generate(chosen.rows, dimensions)
        with tempfile.TemporaryDirectory(dir=PEERS) as files:
            command = [program, *paths, str(chosen.rows), str(dimensions), files]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines = [line.split("|") for line in output.splitlines()]
        if chosen.python_peers:
            import numpy as np
            truth = np.argsort(-(queries @ data.T), axis=1)[:, :10]
            for name in ("faiss", "usearch"):
                found = python_peer(name, data, queries, truth).split("|")
                lines.append(["engine", *found, found[-1]])
        table(lines, chosen.rows, dimensions)


if __name__ == "__main__":
    main()
