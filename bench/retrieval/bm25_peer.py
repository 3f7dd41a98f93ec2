"""One peer of bm25.py in a process of its own: bm25_peer.py NAME FOLDER. Requests and answers are lines of JSON: {"build": path of the texts}
-> {"seconds": [wall, processor], "settle", "disk_mb"}; {"search": [texts], "k", "limit"} -> [[wall seconds, processor seconds, [numbers of lines]], ...]."""
import json
import os
import shutil
import sys
import time

import peers


class Fts5:
    """An index without the texts (contentless), merged into one segment ("optimize"); everything else as it comes."""

    def build(self, path, folder):
        import sqlite3
        self.base = sqlite3.connect(folder + "/fts5.db")
        self.base.execute("pragma journal_mode=wal")
        self.base.execute("create virtual table texts using fts5(text, content='')")
        with open(path) as lines:
            self.base.executemany("insert into texts(rowid, text) values (?, ?)", ((number, line) for number, line in enumerate(lines)))
        self.base.commit()

    def settle(self):
        self.base.execute("insert into texts(texts) values ('optimize')")
        self.base.commit()
        self.base.execute("pragma wal_checkpoint(truncate)")
        self.base.execute("pragma mmap_size=8589934592")
        self.base.execute("pragma cache_size=-1000000")

    def prepare(self, text):
        return " OR ".join(f'"{word}"' for word in text.split())

    def search(self, query, k):
        return self.base.execute("select rowid from texts where texts match ? order by rank limit ?", (query, k)).fetchall()

    def numbers(self, found):
        return [row[0] for row in found]


class Tantivy:
    """One indexing thread with 512 MB, positions kept as it does by default; the query through its parser, no counting."""

    def build(self, path, folder):
        import tantivy
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("text", stored=False)
        builder.add_unsigned_field("number", stored=True)
        self.index = tantivy.Index(builder.build(), path=folder)
        self.writer = self.index.writer(512_000_000, 1)
        with open(path) as lines:
            for number, line in enumerate(lines):
                document = tantivy.Document()
                document.add_text("text", line)
                document.add_unsigned("number", number)
                self.writer.add_document(document)
        self.writer.commit()

    def settle(self):
        self.writer.wait_merging_threads()
        self.index.reload()
        self.searcher = self.index.searcher()

    def prepare(self, text):
        return text

    def search(self, query, k):
        return self.searcher.search(self.index.parse_query(query, ["text"]), k, count=False).hits

    def numbers(self, found):
        return [self.searcher.doc(address)["number"][0] for _, address in found]


class Lance:
    """Its full-text index without stemming, stop words and positions, loaded ahead; the texts are stored beside it."""

    def build(self, path, folder):
        import lancedb
        import pyarrow as arrow
        from lancedb.index import FTS
        schema = arrow.schema([("number", arrow.int64()), ("text", arrow.string())])

        def batches():
            with open(path) as lines:
                part, start = [], 0
                for line in lines:
                    part.append(line)
                    if len(part) == 10000:
                        yield arrow.record_batch([list(range(start, start + len(part))), part], schema=schema)
                        part, start = [], start + len(part)
                if part:
                    yield arrow.record_batch([list(range(start, start + len(part))), part], schema=schema)
        self.table = lancedb.connect(folder).create_table("texts", arrow.RecordBatchReader.from_batches(schema, batches()), schema=schema)
        self.table.create_index("text", config=FTS(stem=False, remove_stop_words=False, with_position=False))

    def settle(self):
        self.table.optimize()
        self.table.prewarm_index("text_idx")

    def prepare(self, text):
        from lancedb.query import MatchQuery
        return MatchQuery(text, "text")

    def search(self, query, k):
        return self.table.search(query, query_type="fts").limit(k).select(["number", "_score"]).to_arrow()

    def numbers(self, found):
        return found["number"].to_pylist()


class Bm25s:
    """Scores computed when indexing (numba backend, 32 bits), all in memory; stop words kept. Nothing on disk but a saved copy."""

    def build(self, path, folder):
        import bm25s
        with open(path) as file:
            lines = file.readlines()
        self.tokenizer = bm25s.tokenization.Tokenizer(stopwords=None, splitter=r"\w+")
        ids = self.tokenizer.tokenize(lines, return_as="tuple", show_progress=False, update_vocab=True, allow_empty=False)
        self.index = bm25s.BM25(k1=1.2, b=0.75, method="lucene", backend="numba")
        self.index.index(ids, show_progress=False)
        self.index.save(folder)

    def settle(self):
        self.index.activate_numba_scorer()

    def batch(self, texts, k):
        """All queries in one call, which is several times faster than one by one; each counts as an equal part."""
        start, used = time.perf_counter(), time.process_time()
        ids = self.tokenizer.tokenize(texts, return_as="ids", show_progress=False, update_vocab=False)
        found = self.index.retrieve(ids, k=k, show_progress=False, n_threads=1).documents
        wall, processor = (time.perf_counter() - start) / len(texts), (time.process_time() - used) / len(texts)
        return [[wall, processor, [int(number) for number in row]] for row in found]


AT_LEAST = 5  # queries answered in a round however long they take

ENGINES = {"fts5": Fts5, "tantivy": Tantivy, "lancedb": Lance, "bm25s": Bm25s}


def imports(name):
    """Ahead of the clock, as a server would have it; returns the version."""
    if name == "fts5":
        import sqlite3
        return sqlite3.sqlite_version
    if name == "bm25s":
        import numba  # noqa: F401
    return __import__(name).__version__ if name != "tantivy" else peers.SEARCH[name] if __import__(name) else ""


def main():
    name, folder = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr
    engine, version = ENGINES[name](), imports(name)
    bare = peers.resident_mb()

    def answer(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    answer({"version": version})
    for line in sys.stdin:
        request = json.loads(line)
        if "build" in request:
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            start, used = time.perf_counter(), time.process_time()
            engine.build(request["build"], folder)
            seconds = [time.perf_counter() - start, time.process_time() - used]
            start = time.perf_counter()
            engine.settle()
            answer({"seconds": seconds, "settle": time.perf_counter() - start, "disk_mb": peers.folder_mb(folder)})
        elif "search" in request:
            if hasattr(engine, "batch"):
                answer(engine.batch(request["search"], request["k"]))
                continue
            out, limit = [], time.perf_counter() + request["limit"]
            for text in request["search"]:
                query = engine.prepare(text)
                start, used = time.perf_counter(), time.process_time()
                found = engine.search(query, request["k"])
                out.append([time.perf_counter() - start, time.process_time() - used, engine.numbers(found)])
                if time.perf_counter() > limit and len(out) >= AT_LEAST:
                    break
            answer(out)
        else:
            answer({"mb": peers.resident_mb() - bare})


if __name__ == "__main__":
    main()
