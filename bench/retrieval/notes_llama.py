"""LlamaIndex over Chroma, for notes.py: notes_llama.py ROOT STORE WORDS DIMENSIONS FIND, like notes_lancedb.mjs.

SimpleDirectoryReader, SentenceSplitter (256 tokens, 32 shared), the mean of word vectors, a persistent Chroma collection, and the
pipeline's document store with the "upserts" strategy, which passes over what has not changed.
"""
import json
import logging
import os
import pathlib
import re
import sys
import time

import numpy as np

os.environ["ANONYMIZED_TELEMETRY"] = "False"
logging.disable(logging.WARNING)
import chromadb  # noqa: E402
from llama_index.core import SimpleDirectoryReader  # noqa: E402
from llama_index.core.base.embeddings.base import BaseEmbedding  # noqa: E402
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline  # noqa: E402
from llama_index.core.node_parser import SentenceSplitter  # noqa: E402
from llama_index.core.storage.docstore import SimpleDocumentStore  # noqa: E402
from llama_index.vector_stores.chroma import ChromaVectorStore  # noqa: E402

DOCUMENTS = 250  # at a time: Chroma takes 5,461 chunks at once here, and LlamaIndex would send up to 41,665
ROOT, STORE, WORDS, DIMENSIONS, FIND = sys.argv[1:]
VECTORS = np.fromfile(WORDS + ".f32", dtype=np.float32).reshape(-1, int(DIMENSIONS))
NUMBERS = {word: number for number, word in enumerate(pathlib.Path(WORDS).read_text().split())}


class WordMean(BaseEmbedding):
    def _get_text_embedding(self, text):
        found = [NUMBERS[word] for word in re.findall("[a-z]+", text.lower()) if word in NUMBERS]
        mean = VECTORS[found].sum(axis=0) if found else VECTORS[0]
        return (mean / np.linalg.norm(mean)).tolist()

    def _get_query_embedding(self, query):
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


def main():
    splitter, model = SentenceSplitter(chunk_size=256, chunk_overlap=32), WordMean(embed_batch_size=1000)
    start = time.perf_counter()
    collection = chromadb.PersistentClient(STORE).get_or_create_collection("notes", metadata={"hnsw:space": "cosine"})
    kept = pathlib.Path(STORE) / "docstore.json"
    docstore = SimpleDocumentStore.from_persist_path(str(kept)) if kept.exists() else SimpleDocumentStore()
    pipeline = IngestionPipeline(transformations=[splitter, model], docstore=docstore, vector_store=ChromaVectorStore(chroma_collection=collection),
                                 docstore_strategy=DocstoreStrategy.UPSERTS, disable_cache=True)
    documents = SimpleDirectoryReader(ROOT, recursive=True, filename_as_id=True, exclude_hidden=False, required_exts=[".md"]).load_data()
    for first in range(0, len(documents), DOCUMENTS):
        pipeline.run(documents=documents[first:first + DOCUMENTS])
    docstore.persist(str(kept))
    seconds = time.perf_counter() - start
    found = collection.get(where_document={"$contains": FIND}, limit=1000)
    print(json.dumps({"seconds": seconds, "chunks": collection.count(), "found": len(found["ids"])}))


if __name__ == "__main__":
    main()
