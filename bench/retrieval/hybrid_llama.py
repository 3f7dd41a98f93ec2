"""LlamaIndex over Chroma behind FastAPI and uvicorn, for hybrid_http.py; the same arguments as hybrid_lancedb.mjs but PACKAGES.

A vector retriever and LlamaIndex's BM25 retriever, joined by QueryFusionRetriever (reciprocal_rerank, no generated queries).
"""
import json
import os
import pathlib
import sys

import numpy as np

os.environ["ANONYMIZED_TELEMETRY"] = "False"
import chromadb  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import FastAPI, Request  # noqa: E402
from fastapi.responses import JSONResponse  # noqa: E402
from llama_index.core import QueryBundle, StorageContext, VectorStoreIndex  # noqa: E402
from llama_index.core.embeddings import MockEmbedding  # noqa: E402
from llama_index.core.llms import MockLLM  # noqa: E402
from llama_index.core.retrievers import QueryFusionRetriever  # noqa: E402
from llama_index.core.schema import TextNode  # noqa: E402
from llama_index.retrievers.bm25 import BM25Retriever  # noqa: E402
from llama_index.vector_stores.chroma import ChromaVectorStore  # noqa: E402


def nodes(texts, count, vectors):
    with open(texts) as lines:
        for number, text in zip(range(count), lines):
            yield TextNode(id_=f"d{number}", text=text.rstrip("\n"), metadata={"title": f"Text {number}"}, embedding=vectors[number].tolist())


def main():
    store, texts, count, vectors, dimensions, queries, port = sys.argv[1:]
    dimensions, count = int(dimensions), int(count)
    vectors = np.fromfile(vectors, dtype=np.float32).reshape(-1, dimensions)
    known = pathlib.Path(queries).read_text().rstrip("\n").split("\n")
    embeddings = dict(zip(known, np.fromfile(queries + ".f32", dtype=np.float32).reshape(-1, dimensions).tolist()))
    client = chromadb.PersistentClient(store)
    collection = client.get_or_create_collection("texts", metadata={"hnsw:space": "cosine"})
    vector_store = ChromaVectorStore(chroma_collection=collection)
    model = MockEmbedding(embed_dim=dimensions)  # never asked: vectors are given
    everything = list(nodes(texts, count, vectors))
    if collection.count() < count:
        index = VectorStoreIndex([], storage_context=StorageContext.from_defaults(vector_store=vector_store), embed_model=model)
        for start in range(0, count, 5000):
            index.insert_nodes(everything[start:start + 5000])
    index = VectorStoreIndex.from_vector_store(vector_store, embed_model=model)
    top_k = 5
    lexical = BM25Retriever.from_defaults(nodes=everything, similarity_top_k=top_k, skip_stemming=True)
    retriever = QueryFusionRetriever([index.as_retriever(similarity_top_k=top_k), lexical], llm=MockLLM(), num_queries=1,
                                     similarity_top_k=top_k, mode="reciprocal_rerank", use_async=False)
    app = FastAPI()

    def retrieve(query):
        found = retriever.retrieve(QueryBundle(query_str=query, embedding=embeddings[query]))
        return [{"document_id": one.node.node_id, "title": one.node.metadata["title"], "text": one.node.get_content(), "score": float(one.score)}
                for one in found]

    @app.get("/")
    def alive():
        return {}

    @app.post("/api/search")
    async def search(request: Request):
        body = json.loads(await request.body())
        return JSONResponse({"results": retrieve(body["query"])})

    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
