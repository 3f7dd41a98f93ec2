#pragma once

#include <gtest/gtest.h>

#include "async/run_blocking.h"
#include "base/random.h"
#include "rag/ingest.h"
#include "rag/library.h"
#include "rag/retriever.h"
#include "rag/testing/fakes.h"
#include "store/memory/memory_store.h"

namespace tessera::rag::testing {

/// The room's parts over the store in memory and the fakes, running.
struct RagWorld {
  base::ManualClock clock;
  base::SeededRandom random{7};
  base::IdSource ids{clock, random};
  std::unique_ptr<base::Logger> log = base::silent_logger();
  store::MemoryStore stores{clock};
  FakeIndex index;
  FakeParser parser;
  FakeEmbedder embedder;
  EmbedderTable embedders{{&embedder}};
  async::BlockingPool pool{{.name = "test", .threads = 2}};
  IndexFeed feed{stores.documents(), index, *log};
  IngestService ingest{ingest_parts()};
  Library library{stores.documents(), index, feed, embedders};
  HybridRetriever retriever{{stores.documents(), index, feed, embedders, pool, clock}};
  core::RequestTrace trace;
  core::RequestContext context;

  RagWorld() {
    context.tenant = {"app"};
    context.trace = &trace;
    EXPECT_TRUE(feed.start());
    EXPECT_TRUE(async::sync_wait(feed.wait_ready()));
  }
  IngestParts ingest_parts() { return {stores.documents(), parser, embedders, index, feed, pool, ids}; }
  base::Result<IngestReceipt> take_in(IngestRequest request) {
    return async::sync_wait(ingest.ingest(context, std::move(request)));
  }
  base::Result<core::RetrievalResult> search(std::string query, size_t top_k = 5,
                                             core::SearchMode mode = core::SearchMode::lexical) {
    core::RetrievalRequest request;
    request.collection = {context.tenant, "default"};
    request.query = std::move(query);
    request.top_k = top_k;
    request.mode = mode;
    return async::sync_wait(retriever.retrieve(context, std::move(request)));
  }
};

}  // namespace tessera::rag::testing
