#include "app/engine_options.h"

#include <algorithm>
#include <string_view>
#include <thread>
#include <utility>

#include "app/engine.h"

namespace tessera::app {

using config::Settings;

size_t cores() {
  return std::max<size_t>(1, std::thread::hardware_concurrency());
}
size_t or_cores(int64_t setting) {
  return setting == 0 ? cores() : static_cast<size_t>(setting);
}

async::BlockingPoolOptions read_pool_options(const Settings& settings) {
  return {.name = "store", .threads = static_cast<size_t>(settings.storage.readers), .queue_max = 4096};
}

async::BlockingPoolOptions search_pool_options() {
  return {.name = "search", .threads = cores(), .queue_max = 1024};
}

async::BlockingPoolOptions ingest_pool_options(const Settings& settings) {
  return {.name = "ingest",
          .kind = base::ThreadKind::batch,
          .threads = or_cores(settings.ingest.workers),
          .queue_max = static_cast<size_t>(settings.ingest.queue_max)};
}

parse::ParseLimits parse_limits(const Settings& settings) {
  parse::ParseLimits limits;
  limits.input_bytes_max = static_cast<size_t>(settings.ingest.document_bytes_max);
  limits.text_bytes_max = static_cast<size_t>(settings.parse.text_bytes_max);
  limits.archive_entry_bytes_max = static_cast<size_t>(settings.parse.text_bytes_max);
  limits.pdf_timeout = settings.parse.pdf_timeout_ms;
  limits.pdf_memory_max = static_cast<size_t>(settings.parse.pdf_memory_bytes_max);
  limits.pdftotext_path = settings.parse.pdf_command;
  return limits;
}

namespace {

core::Duplicates duplicates(std::string_view word) {
  if (word == "same") return core::Duplicates::same;
  return word == "near" ? core::Duplicates::near : core::Duplicates::keep;
}

}  // namespace

rag::RetrieverOptions retriever_options(const Settings& settings) {
  rag::RetrieverOptions options;
  options.top_k_max = static_cast<size_t>(settings.search.top_k_max);
  options.query_bytes_max = static_cast<size_t>(settings.search.query_bytes_max);
  options.candidates_min = static_cast<size_t>(settings.search.candidates);
  options.fusion.kind =
      settings.search.fusion == "reciprocal_rank" ? core::Fusion::reciprocal_rank : core::Fusion::scores;
  options.fusion.dense_weight = settings.search.dense_weight;
  options.fusion.rank_constant = settings.search.rank_constant;
  options.rerank = settings.search.rerank;
  options.rerank_candidates = static_cast<size_t>(settings.search.rerank_candidates);
  options.client = {duplicates(settings.search.duplicates), static_cast<size_t>(settings.search.per_document),
                    static_cast<size_t>(settings.search.neighbours)};
  options.model = {duplicates(settings.search.context_duplicates),
                   static_cast<size_t>(settings.search.context_per_document),
                   static_cast<size_t>(settings.search.context_neighbours)};
  return options;
}

rag::IngestOptions ingest_options(const Settings& settings) {
  const size_t workers = or_cores(settings.ingest.workers);
  rag::IngestOptions options;
  options.document_bytes_max = static_cast<size_t>(settings.ingest.document_bytes_max);
  options.chunks_max = static_cast<size_t>(settings.ingest.chunks_max);
  options.embed_batch = static_cast<size_t>(settings.embedding.batch_size);
  options.interactive_max = workers * 4;
  options.interactive_waiting_max = static_cast<size_t>(settings.ingest.queue_max);
  // More documents at work than cores: the rest wait for the disk, and the writer commits them as one group.
  options.background_max = std::max<size_t>(16, workers * 4);
  options.collection_defaults = collection_defaults(settings);
  return options;
}

rag::DirectoryOptions directory_options(const Settings& settings) {
  rag::DirectoryOptions options;
  options.allowed_roots = settings.ingest.roots;
  options.bounds.files_max = static_cast<size_t>(settings.ingest.directory_files_max);
  options.bounds.file_bytes_max = settings.ingest.document_bytes_max;
  options.parallel = std::max<size_t>(16, or_cores(settings.ingest.workers) * 4);
  options.poll_every = settings.ingest.watch_interval_ms;
  return options;
}

chat::ChatOptions chat_options(const Settings& settings) {
  chat::ChatOptions options;
  options.message_bytes_max = static_cast<size_t>(settings.chat.message_bytes_max);
  return options;
}

chat::StreamTableOptions stream_options(const Settings& settings) {
  chat::StreamTableOptions options;
  options.streams_max = static_cast<size_t>(settings.chat.streams_max);
  options.keep_finished = settings.chat.stream_keep_ms;
  return options;
}

rag::TaskRegistryOptions task_options(const Settings& settings) {
  rag::TaskRegistryOptions options;
  options.running_max = static_cast<size_t>(settings.tasks.concurrent_max);
  options.finished_max = static_cast<size_t>(settings.tasks.keep_max);
  return options;
}

wire::HttpClientOptions http_options(const config::Settings& settings) {
  wire::HttpClientOptions options;
  options.connections_max = std::max(options.connections_max, static_cast<size_t>(settings.server.connections_max));
  options.ca_file = settings.llm.ca_file;
  return options;
}

}  // namespace tessera::app
