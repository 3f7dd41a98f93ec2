#!/usr/bin/env python3
"""POST /api/search, hybrid, over HTTP: ours beside LanceDB behind Node and LlamaIndex over Chroma behind FastAPI.

    tools/build.sh release && ninja -C build/bench http_load
    bench/retrieval/hybrid_http.py [--quick] [--documents 100000] [--build DIR] [--tessera PATH] [--record]

Texts and queries as corpus.py says (a text is one chunk; queries of six words, hardly any asked twice in a round); the best 5 with their
texts. The peers get our vectors, and a query's vector by a lookup; ours embeds the query within its answer. LanceDB: full-text index and
IVF_HNSW_SQ, joined by its RRF reranker, best 5 of each. LlamaIndex: its vector retriever over Chroma and its BM25 retriever (in memory),
joined by QueryFusionRetriever without generated queries, best 5 of each. Each runs as one process on both cores with its defaults; the
client (http_load, C++) shares them. Rounds in turn: 8 connections, each sending its next request when answered; then one connection.
"bare round trip" answers as many bytes without looking: the loopback's own round trip. --record writes hybrid_http.md.
"""
import argparse
import base64
import concurrent.futures
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import peers
from peers import machine

WORDS, QUERIES = 6, 20000


def post(url, body, timeout=600):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=timeout) as response:
        return response.read()


def embed(url, texts):
    import numpy as np
    out = []
    for start in range(0, len(texts), 256):
        answer = json.loads(post(url + "/v1/embeddings", {"input": texts[start:start + 256], "model": "tessera/static-256", "encoding_format": "base64"}))
        out += [np.frombuffer(base64.b64decode(one["embedding"]), dtype=np.float32) for one in answer["data"]]
    return np.stack(out)


def fill(server, texts, collection="texts"):
    """Every text a document of one chunk; waits until the process has settled."""
    post(server.url + "/api/collections", {"name": collection, "chunk_size": 4096})

    def batch(first):
        lines = [json.dumps({"document_id": f"d{n}", "title": f"Text {n}", "text": texts[n], "content_type": "text/plain", "collection": collection})
                 for n in range(first, min(first + 2000, len(texts)))]
        answer = post(server.url + "/api/ingest/batch", "\n".join(lines).encode())
        assert b'"error"' not in answer, answer[:500]

    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(batch, range(0, len(texts), 2000)))
    seconds = time.monotonic() - start
    peers.rest(server.process.pid)
    return seconds


class Process:
    """A peer's server, or the bare one."""

    def __init__(self, name, command, port):
        self.name, self.port, self.url = name, port, f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=None if DEBUG else subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait()


def start_peers(options, texts, data, queries, dimensions, report):
    # Kept from run to run; made anew for another corpus or other vectors.
    stamp = f"{options.documents}-{peers.digest(data)}"
    arguments = lambda store, port: [store, texts, options.documents, data, dimensions, queries, port]  # noqa: E731
    started = []
    for name in options.engines:
        port, store = machine.free_port(), peers.DATA / f"hybrid-{name}-{stamp}"
        if not store.with_suffix(".ready").exists():  # half filled by an earlier run
            shutil.rmtree(store, ignore_errors=True)
        begin = time.monotonic()
        if name == "lancedb":
            process = Process(f"LanceDB {peers.NODE['@lancedb/lancedb']} + Node {peers.node_version()}",
                              ["node", peers.HERE / "hybrid_lancedb.mjs", peers.node(), *arguments(store, port)], port)
        else:
            process = Process(f"LlamaIndex {peers.LLAMA['llama-index-core']} + Chroma {peers.LLAMA['chromadb']}, FastAPI",
                              [peers.venv("llama", peers.LLAMA), peers.HERE / "hybrid_llama.py", *arguments(store, port)], port)
        try:
            machine.wait_for(process.url + "/", process.process, 900)
        except SystemExit as why:
            report(f"**{process.name} does not run here ({why}): its rows are missing.**\n")
            process.stop()
            continue
        store.with_suffix(".ready").touch()
        print(f"{process.name}: filled and ready after {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        started.append(process)
    return started


def load(options, server, connections, seconds, skip):
    out = subprocess.run([options.build / "bench/http_load", "load", str(server.port), "/api/search", server.bodies, str(connections), str(seconds), str(skip)],
                         capture_output=True, text=True)
    if out.returncode != 0:
        raise SystemExit(f"{server.name}: {out.stderr}")
    return dict(zip(("count", "seconds", "mean", "p50", "p95", "p99", "slowest", "bytes"), map(float, out.stdout.split())))


def found(server, queries):
    out = []
    with open(server.bodies) as bodies:
        for body, _ in zip(bodies, range(queries)):
            out.append({one["document_id"] for one in json.loads(post(server.url + "/api/search", body.encode()))["results"]})
    return out


def measure(options, servers, connections, report):
    results = {server.name: [] for server in servers}
    for number in range(-1, options.rounds):
        for server in servers:
            result = load(options, server, connections, options.seconds, (number + 1) * 3500)
            if number >= 0:
                results[server.name].append(result)
    report(f"\n## {connections} connection{'s' if connections > 1 else ''}\n")
    report("| Server | Requests/s | p50 ms | p95 ms | p99 ms | p95 x ours (spread) | Requests/s of ours x (spread) | Answer, bytes | Resident MB |")
    report("|---|---|---|---|---|---|---|---|---|")
    ours = results[servers[0].name]
    for server in servers:
        own = results[server.name]
        figure = lambda key: statistics.median(one[key] for one in own)  # noqa: E731, B023
        later = peers.ratio([(a["p95"], b["p95"]) for a, b in zip(ours, own)])
        faster = peers.ratio([(b["count"] / b["seconds"], a["count"] / a["seconds"]) for a, b in zip(ours, own)])
        rate = statistics.median(one["count"] / one["seconds"] for one in own)
        report(f"| {server.name} | {rate:,.0f} | {figure('p50') / 1000:.3f} | {figure('p95') / 1000:.3f} | {figure('p99') / 1000:.3f} | {later} | {faster} | "
               f"{figure('bytes'):.0f} | {peers.resident_mb(server.process.pid):.0f} |")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--documents", type=int, default=100000)
    arguments.add_argument("--engines", nargs="*", default=["lancedb", "llama"])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=3)
    arguments.add_argument("--quick", action="store_true", help="5,000 documents, 3 rounds of 1 second")
    arguments.add_argument("--record", action="store_true", help="write hybrid_http.md")
    arguments.add_argument("--build", type=pathlib.Path, default=peers.ROOT / "build/bench")
    arguments.add_argument("--tessera", type=pathlib.Path, default=machine.TESSERA)
    arguments.add_argument("--debug", action="store_true", help="show what the peers say")
    options = arguments.parse_args()
    peers.run_in("search", peers.SEARCH)
    global DEBUG
    DEBUG = options.debug
    machine.TESSERA = options.tessera
    if options.quick:
        options.documents, options.rounds, options.seconds = 5000, 3, 1
    import corpus
    report = peers.Report(peers.HERE / "hybrid_http.md" if options.record else None)
    report("# Hybrid search over HTTP beside LanceDB and LlamaIndex\n\nPrinted by `hybrid_http.py` (its first lines say how it measures).\n")
    report(machine.describe())
    path, _, words, sample = corpus.write(options.documents)
    with open(path) as lines:
        texts = [line.rstrip("\n") for line in lines]
    asked = [" ".join(words[number] for number in query) for query in corpus.queries(sample, WORDS, QUERIES)]
    with tempfile.TemporaryDirectory(dir=peers.PEERS) as folder, machine.Server() as server:
        folder = pathlib.Path(folder)
        queries, data, bodies = folder / "queries", folder / "vectors", folder / "bodies"
        queries.write_text("\n".join(asked) + "\n")
        bodies.write_text("".join(json.dumps({"query": query, "top_k": 5, "mode": "hybrid", "collection": "texts"}) + "\n" for query in asked))
        embed(server.url, asked).tofile(str(queries) + ".f32")
        vectors = embed(server.url, texts)
        vectors.tofile(data)
        seconds = fill(server, texts)
        stats = json.loads(urllib.request.urlopen(server.url + "/api/vector_db/stats").read())
        report(f"\n{stats['indexed_chunks']:,} chunks of {options.documents:,} texts ({path.stat().st_size / 1e6:.0f} MB), {vectors.shape[1]} dimensions; "
               f"ours took them in over HTTP in {seconds:.0f} s.")
        server.name = "tessera"
        servers = [server, *start_peers(options, path, data, queries, vectors.shape[1], report)]
        for one in servers:
            one.bodies = bodies
        size = int(load(options, server, 1, 0.5, 0)["bytes"])
        port = machine.free_port()
        bare = Process("bare round trip", [options.build / "bench/http_load", "echo", port, size], port)
        bare.bodies = bodies
        time.sleep(0.2)
        try:
            for connections in (8, 1):
                measure(options, [*servers, bare], connections, report)
            expected = found(server, 200)
            report()
            for one in servers[1:]:
                share = statistics.mean(len(a & b) / max(1, len(a)) for a, b in zip(expected, found(one, 200)))
                report(f"Of our best 5, {one.name} finds {share:.2f} (200 queries).")
        finally:
            for one in [*servers[1:], bare]:
                one.stop()


if __name__ == "__main__":
    main()
