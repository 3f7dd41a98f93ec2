#!/usr/bin/env python3
"""Vector search side by side: src/index/vector (graph, exact scan, filters, files), hnswlib (Debian's libhnswlib-dev,
-O3 -march=native), FAISS and usearch (PyPI, installed into .peers/ beside this file).

    tools/build.sh bench tessera_index
    bench/retrieval/vector.py [--quick] [--rows 200000] [--dimensions 256 384] [--no-python-peers] [--build DIR] [--record]

Data: ROWS / 2,000 centres, each component from a normal distribution of variance 1; a vector is a centre drawn at
random plus as much normal noise, brought to length 1; queries are drawn in the same way. Noise fills every dimension,
so neighbours within a cluster differ little and no cluster is a small world of its own: hnswlib needs ef of 60 and more
for a recall@10 of 0.95. numpy's generator, seed 7.

Every engine has m 16 and ef_construction 200 and answers 500 queries on one thread with the smallest ef that reaches a
recall@10 of 0.95, in nine interleaved rounds: medians, and the spread of the ratio over the rounds. hnswlib and ours build
in turns of 1,000 vectors, FAISS and usearch before them, on one thread. A second row of ours leaves ef to the index: it
measures its recall on rows it holds back while it builds. Memory of ours is what it holds before it is saved, and after
(then the second byte of each component is left in its file and read for the best candidates only); of the others what
the process grew by. The limit is what one thread needs to read in order as many codes as a walk looks at.

Filters: each share of the rows at random, and, anti-correlated, the clusters least like the query; 100 queries, ef left
to the index; "walk" goes through the graph, "signs" looks at a bit a component of all allowed rows (docs/adr/0012),
"gather" at few rows one by one. Restart: the time to map the saved index, and to answer the first query. Sizes: scan and
graph over the first rows only, to see from how many on a graph pays. Prints Markdown; --record writes vector.md.
"""
import argparse
import pathlib
import subprocess
import tempfile
import time

import peers
from peers import machine

HERE, ROOT, PEERS = peers.HERE, peers.ROOT, peers.PEERS
PACKAGES = {"numpy": "2.4.6", "faiss-cpu": "1.15.1", "usearch": "2.26.6"}
BAR = "Bars: 2 x hnswlib's queries, 0.4 x its memory, 1.5 x its speed of building; goals 4, 0.35, 3. Filters (beside LanceDB: filtered.md): recall 0.95, half of own unfiltered queries."


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


class PythonPeer:
    """FAISS or usearch over `data`, with the smallest ef that reaches the recall."""

    def __init__(self, name, data, queries, truth):
        before, start = peers.resident_mb(), time.monotonic()
        self.queries, self.rates = queries, []
        if name == "faiss":
            import faiss
            faiss.omp_set_num_threads(1)
            index = faiss.IndexHNSWFlat(data.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = 200
            index.add(data)
            self.name = f"FAISS {faiss.__version__}"

            def search(ef):
                index.hnsw.efSearch = ef
                return index.search(queries, 10)[1]
        else:
            import numpy as np
            import usearch
            from usearch.index import Index
            index = Index(ndim=data.shape[1], metric="ip", dtype="f32", connectivity=16, expansion_add=200)
            index.add(np.arange(len(data)), data, threads=1)
            self.name = f"usearch {usearch.__version__}"

            def search(ef):
                index.expansion_search = ef
                return index.search(queries, 10, threads=1).keys
        self.search = search
        self.seconds, self.memory = time.monotonic() - start, peers.resident_mb() - before
        self.settle(truth)

    def settle(self, truth):
        def recall(ef):
            return sum(len(set(a) & set(b)) for a, b in zip(self.search(ef).tolist(), truth.tolist())) / truth.size
        high = 16
        while recall(high) < 0.95 and high < 4096:
            high *= 2
        low = high // 2
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if recall(middle) >= 0.95 else (middle + 1, high)
        self.ef, self.recall = high, recall(high)

    def run(self):
        start = time.monotonic()
        self.search(self.ef)
        self.rates.append(len(self.queries) / (time.monotonic() - start))

    def line(self):
        return ["engine", self.name, self.ef, self.recall, ",".join(f"{rate:.0f}" for rate in self.rates), self.seconds, self.memory, self.memory]


def run(command, others):
    """The lines of our program; the others have their rounds in between its own."""
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        if line.strip() != "turn":
            lines.append(line.strip().split("|"))
            continue
        for one in others:
            one.run()
        process.stdin.write("\n")
        process.stdin.flush()
    if process.wait() != 0:
        raise SystemExit(f"{command[0]} failed")
    return lines + [one.line() for one in others]


def table(lines, rows, dimensions, report):
    report(f"\n## {rows:,} x {dimensions}\n")
    report("| Engine | ef | Recall@10 | Queries/s | Build s | MB | MB saved | Queries x hnswlib (spread) | Memory x | Build speed x |")
    report("|---|---|---|---|---|---|---|---|---|---|")
    peer = None
    for name, ef, recall, rates, *rest in (line for kind, *line in lines if kind == "engine"):
        seconds, memory, saved = (float(x) for x in rest)
        rates = [float(rate) for rate in rates.split(",")]
        peer = peer or (rates, seconds, memory)
        held = f"{seconds:.1f} | {memory:.1f} | {saved:.1f}" if seconds else "| | "
        ratios = f"{memory / peer[2]:.2f}, {saved / peer[2]:.2f} | {peer[1] / seconds:.2f}" if seconds else "| "
        pairs = list(zip(peer[0], rates)) if len(rates) == len(peer[0]) else [(machine.median(peer[0]), rate) for rate in rates]
        report(f"| {name} | {ef or ''} | {float(recall):.3f} | {machine.median(rates):,.0f} | {held} | {peers.ratio(pairs)} | {ratios} |")
    limit = next(line for kind, *line in lines if kind == "limit")
    bandwidth, looked_at = float(limit[0]), int(limit[1])
    report(f"\nA walk of ours looks at {looked_at:,} rows, half a byte a component; one thread reads in order at {bandwidth / 1e9:.1f} GB/s (limit: "
           f"{bandwidth / (looked_at * dimensions / 2):,.0f} queries/s; of a scan of all rows, a byte a component, {bandwidth / (rows * dimensions):,.0f}).")
    report("\n| Filter | Share | Plan of most | Recall@10 | Queries/s | x own unfiltered |\n|---|---|---|---|---|---|")
    for name, share, plan, recall, rate, ratio in (line for kind, *line in lines if kind == "filter"):
        report(f"| {name} | {float(share):.2%} | {plan} | {float(recall):.3f} | {int(rate):,} | {ratio} |")
    one = {kind: line for kind, *line in lines if kind in ("save", "restart", "mapped")}
    report(f"\nSaved in {one['save'][0]} s; mapped again in {one['restart'][0]} ms, first answer after {one['restart'][1]} ms; "
           f"{int(one['mapped'][0]):,} queries/s over mapped pages.")


def sizes(lines, dimensions, report):
    report(f"\n## From how many rows on a graph pays, {dimensions} dimensions\n")
    report("| Rows | Recall@10 of the graph | Graph, queries/s | Scan, queries/s | Graph x scan | Building the graph, s |\n|---|---|---|---|---|---|")
    for _, rows, recall, graph, scan, seconds in lines:
        report(f"| {int(rows):,} | {float(recall):.3f} | {int(graph):,} | {int(scan):,} | {int(graph) / int(scan):.1f} | {float(seconds):.2f} |")
    slowest = max(1000 / int(scan) for _, rows, _, _, scan, _ in lines if int(rows) <= 8192)
    report(f"\nBelow 8,192 rows (`VectorOptions::graph_rows`) there is no graph: a scan takes {slowest:.2f} ms at most, finds everything, and needs nothing built.")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="20,000 x 256")
    arguments.add_argument("--rows", type=int, default=200000)
    arguments.add_argument("--dimensions", type=int, nargs="+", default=[256, 384])
    arguments.add_argument("--no-python-peers", action="store_true", help="hnswlib only")
    arguments.add_argument("--build", type=pathlib.Path, default=ROOT / "build/bench")
    arguments.add_argument("--record", action="store_true", help="write vector.md")
    options = arguments.parse_args()
    if options.quick:
        options.rows, options.dimensions = 20000, [256]
    peers.run_in("vector-peers", PACKAGES)
    program = compile_bench(options.build)
    hnswlib = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libhnswlib-dev"], capture_output=True, text=True, check=True).stdout
    report = peers.Report(HERE / "vector.md" if options.record else None)
    report("# Vector search beside hnswlib, FAISS and usearch\n\nPrinted by `vector.py` (its first lines say how it measures).\n")
    report(machine.describe() + f"; hnswlib {hnswlib}")
    for dimensions in options.dimensions:
        data, queries, paths = generate(options.rows, dimensions)
        others = []
        if not options.no_python_peers:
            import numpy as np
            truth = np.argsort(-(queries @ data.T), axis=1)[:, :10]
            others = [PythonPeer(name, data, queries, truth) for name in ("faiss", "usearch")]
        with tempfile.TemporaryDirectory(dir=PEERS) as files:
            table(run([program, *paths, options.rows, dimensions, files], others), options.rows, dimensions, report)
    with tempfile.TemporaryDirectory(dir=PEERS) as files:
        sizes(run([program, *paths, options.rows, dimensions, files, "sizes"], []), dimensions, report)
    report("\n" + BAR)


if __name__ == "__main__":
    main()
