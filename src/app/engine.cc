#include "app/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "account/accounted_model.h"
#include "account/background_calls.h"
#include "account/keyed_models.h"
#include "account/keys.h"
#include "account/spending.h"
#include "app/engine_options.h"
#include "app/local_models.h"
#include "app/metered.h"
#include "app/metered_store.h"
#include "app/models.h"
#include "app/performance.h"
#include "app/profile_settings.h"
#include "async/blocking_pool.h"
#include "async/run_blocking.h"
#include "chat/chat_service.h"
#include "chat/chat_streams.h"
#include "chat/completion_service.h"
#include "chat/sessions.h"
#include "chat/stream_table.h"
#include "index/retrieval_index.h"
#include "llm/profiles/profile_table.h"
#include "parse/parser.h"
#include "rag/directory_ingest.h"
#include "rag/embedder_table.h"
#include "rag/index_feed.h"
#include "rag/ingest.h"
#include "rag/library.h"
#include "rag/retriever.h"
#include "rag/task_registry.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"
#include "text/bpe.h"

namespace tessera::app {
namespace {

using base::Result;
using config::Settings;

// One of the two, behind the ports.
struct Stores {
  std::unique_ptr<store::SqliteStore> sqlite;
  std::unique_ptr<store::MemoryStore> memory;
  core::DocumentStore& documents() { return sqlite ? sqlite->documents() : memory->documents(); }
  core::ConversationStore& conversations() { return sqlite ? sqlite->conversations() : memory->conversations(); }
  core::TaskStore& tasks() { return sqlite ? sqlite->tasks() : memory->tasks(); }
  core::KeyStore& keys() { return sqlite ? sqlite->keys() : memory->keys(); }
  core::Ledger& ledger() { return sqlite ? sqlite->ledger() : memory->ledger(); }
  core::BudgetStore& budgets() { return sqlite ? sqlite->budgets() : memory->budgets(); }
  core::ResponseOwnerStore& responses() { return sqlite ? sqlite->responses() : memory->responses(); }
};

struct StoreMeans {
  async::BlockingPool& pool;
  const base::Clock& clock;
  base::Logger& log;
  observe::Metrics& metrics;
};

Result<Stores> open_stores(const Settings& settings, StoreMeans means) {
  Stores stores;
  if (settings.storage.backend == "memory") {
    stores.memory = std::make_unique<store::MemoryStore>(means.clock);
    return stores;
  }
  store::SqliteOptions options;
  options.path = (std::filesystem::path(settings.storage.directory) / "tessera.db").string();
  options.readers = static_cast<size_t>(settings.storage.readers);
  options.write_queue_max = static_cast<size_t>(settings.storage.write_queue_max);
  options.group_max = static_cast<size_t>(settings.storage.write_group_max);
  options.cache_kib = settings.storage.cache_bytes / 1024;
  options.on_commit = [&metrics = means.metrics](size_t writes, std::chrono::nanoseconds took) {
    metrics.store_write_group.observe(static_cast<double>(writes));
    metrics.store_write_duration.observe(std::chrono::duration<double>(took).count());
  };
  TESSERA_TRY(stores.sqlite, store::SqliteStore::open(std::move(options), means.pool, means.clock, means.log));
  return stores;
}

Result<std::unique_ptr<core::RetrievalIndex>> open_index(const Settings& settings, base::Logger& log) {
  index::IndexOptions options;
  if (settings.storage.backend != "memory") {
    options.directory = std::filesystem::path(settings.storage.directory) / "index";
  }
  options.m = static_cast<size_t>(settings.vector_db.hnsw_m);
  options.ef_construction = static_cast<size_t>(settings.vector_db.ef_construction);
  options.ef = static_cast<size_t>(settings.vector_db.hnsw_ef);
  options.recall = settings.vector_db.recall_target;
  return index::create_retrieval_index(std::move(options), log);
}

}  // namespace

// In the order of construction: each part names those above it only, so destruction in reverse is safe.
struct Engine::Parts {
  Parts(config::Snapshot snapshot, base::Logger& logger)
      : settings(std::move(snapshot)),
        log(logger),
        sampler(clock, settings->storage.backend == "memory" ? "." : settings->storage.directory),
        shards(or_cores(settings->server.shards), std::chrono::microseconds(settings->server.spin_us)),
        embedding_loop(1),
        read_pool(read_pool_options(*settings)),
        search_pool(search_pool_options()),
        ingest_pool(ingest_pool_options(*settings)) {}

  Result<> open();
  std::function<std::shared_ptr<core::ChatModel>(std::shared_ptr<core::ChatModel>, std::string)> accounting();
  account::AccountingParts accounting_parts(bool unpriced_is_free) {
    return {*spending, profiles, history_tokens, clock, ids, metrics, unpriced_is_free};
  }
  void build_services();
  void collect();

  config::Snapshot settings;
  base::Logger& log;
  base::SystemClock clock;
  base::SystemRandom random;
  base::IdSource ids{clock, random};
  observe::Metrics metrics;
  observe::SystemSampler sampler;
  async::Shards shards;
  async::Shards embedding_loop;  // embedding is CPU work; it must not hold up the shards
  async::BlockingPool read_pool;
  async::BlockingPool search_pool;
  async::BlockingPool ingest_pool;
  std::shared_ptr<wire::HttpClient> http = std::make_shared<wire::HttpClient>(http_options(*settings));
  Stores stores;
  text::BpeCounter history_tokens{text::BpeVocabulary::o200k()};
  std::unique_ptr<core::RetrievalIndex> index;
  std::unique_ptr<MeteredDocuments> documents;
  std::unique_ptr<core::DocumentParser> plain_parser;
  std::unique_ptr<MeteredParser> parser;
  llm::ProfileTable profiles{profile_changes(*settings)};
  std::unique_ptr<account::Spending> spending;
  std::unique_ptr<account::BackgroundCalls> background_calls;
  std::unique_ptr<llm::LocalEngines> engines;
  std::unique_ptr<Models> models;
  std::unique_ptr<account::KeyRing> keys;
  std::unique_ptr<account::KeyedModels> catalog;
  std::unique_ptr<rag::FileTree> files;
  std::unique_ptr<rag::IndexFeed> feed;
  std::unique_ptr<rag::HybridRetriever> plain_retriever;
  std::unique_ptr<MeteredRetriever> retriever;
  std::unique_ptr<rag::IngestService> ingest;
  std::unique_ptr<rag::Library> library;
  std::unique_ptr<rag::TaskRegistry> tasks;
  std::unique_ptr<rag::DirectoryIngest> directories;
  std::unique_ptr<chat::StreamTable> stream_table;
  std::unique_ptr<chat::ChatService> chat;
  std::unique_ptr<chat::CompletionService> completions;
  std::unique_ptr<chat::Sessions> sessions;
  std::unique_ptr<chat::ChatStreams> streams;
  std::unique_ptr<Performance> performance;
  bool stopped = false;
};

Result<> Engine::Parts::open() {
  TESSERA_TRY(stores, open_stores(*settings, {read_pool, clock, log, metrics}));
  TESSERA_TRY(index, open_index(*settings, log));
  spending = std::make_unique<account::Spending>(
      account::Spending::Means{stores.ledger(), stores.budgets(), clock, log, metrics, shards.next_executor()},
      account::SpendingOptions{});
  TESSERA_CHECK(async::sync_wait(spending->load()));
  background_calls = std::make_unique<account::BackgroundCalls>(*spending, profiles);
  TESSERA_TRY(auto local, local_engine_options(*settings));
  engines = std::make_unique<llm::LocalEngines>(
      std::move(local), llm::LocalEngines::Means{http, clock, random, log, shards.next_executor()});
  const auto note_shared = [this](const core::RequestContext& context, const core::RelayReport& report) {
    return account::note_cached_answer(accounting_parts(true), context, report.provider, report.model, report.usage);
  };
  TESSERA_TRY(models, Models::create(*settings, {http, metrics, clock, random, engines.get(), accounting(), note_shared,
                                                 &profiles, &history_tokens}));
  keys = std::make_unique<account::KeyRing>(account::KeyRing::Means{stores.keys(), clock, random, ids});
  TESSERA_CHECK(async::sync_wait(keys->load()));
  catalog = std::make_unique<account::KeyedModels>(models->catalog(), *keys, clock);
  documents = std::make_unique<MeteredDocuments>(stores.documents(), metrics, clock);
  plain_parser = parse::create_parser(parse_limits(*settings));
  parser = std::make_unique<MeteredParser>(*plain_parser, metrics, clock);
  files = rag::posix_file_tree();
  feed = std::make_unique<rag::IndexFeed>(*documents, *index, log);
  build_services();
  return feed->start();
}

// One decorator for each provider, around all of its models.
std::function<std::shared_ptr<core::ChatModel>(std::shared_ptr<core::ChatModel>, std::string)>
Engine::Parts::accounting() {
  return [this](std::shared_ptr<core::ChatModel> model, std::string provider) -> std::shared_ptr<core::ChatModel> {
    const auto at_home = [&](const config::ProviderSettings& each) {
      return each.name == provider && each.location == "local";
    };
    const bool free = settings->llm.unpriced == "allow" || provider == llm::kLocalProvider ||
                      std::ranges::any_of(settings->providers, at_home);
    return std::make_shared<account::AccountedModel>(std::move(model), std::move(provider), accounting_parts(free));
  };
}

void Engine::Parts::build_services() {
  rag::EmbedderTable& embedders = models->embedders();
  plain_retriever = std::make_unique<rag::HybridRetriever>(
      rag::RetrieverParts{*documents, *index, *feed, embedders, search_pool, clock}, retriever_options(*settings));
  retriever = std::make_unique<MeteredRetriever>(*plain_retriever, metrics, clock);
  auto ingesting = ingest_options(*settings);
  ingesting.embed_executor = embedding_loop.executor(0);
  ingest =
      std::make_unique<rag::IngestService>(rag::IngestParts{*documents, *parser, embedders, *index, *feed, ingest_pool,
                                                            ids, &metrics.ingest_documents.with("unchanged")},
                                           std::move(ingesting));
  library = std::make_unique<rag::Library>(*documents, *index, *feed, embedders);
  tasks = std::make_unique<rag::TaskRegistry>(stores.tasks(), clock, ids, log, task_options(*settings));
  directories = std::make_unique<rag::DirectoryIngest>(
      rag::DirectoryParts{*documents, *parser, *ingest, *library, *feed, *tasks, *files, ingest_pool, clock, log,
                          shards.next_executor()},
      directory_options(*settings));

  // History goes to chat models, so it is measured in their tokens: exact for OpenAI's present models, near for others.
  const auto count_tokens = [this](std::string_view text) { return history_tokens.count(text); };
  const chat::ChatParts chat_parts{
      stores.conversations(),         *documents, *retriever, *catalog, clock, ids, log, count_tokens,
      &metrics.chat_citations_removed};
  stream_table = std::make_unique<chat::StreamTable>(clock, stream_options(*settings));
  chat = std::make_unique<chat::ChatService>(chat_parts, chat_options(*settings));
  completions = std::make_unique<chat::CompletionService>(chat_parts, chat_options(*settings));
  sessions = std::make_unique<chat::Sessions>(stores.conversations());
  streams = std::make_unique<chat::ChatStreams>(*chat, *stream_table, ids, shards.next_executor());
  metrics.build_info.with(version()).set(1);
  metrics.add_collector([this] { collect(); });
  performance = std::make_unique<Performance>(Performance::Means{stores.sqlite.get(), *engines, metrics, clock});
}

// Gauges that are cheaper to read than to keep.
void Engine::Parts::collect() {
  const core::IndexStats totals = index->total_stats();
  metrics.index_documents.set(static_cast<double>(totals.documents));
  metrics.index_chunks.set(static_cast<double>(totals.chunks));
  metrics.index_memory.set(static_cast<double>(totals.memory_bytes));
  metrics.index_lag.set(static_cast<double>(feed->health().lag()));
  metrics.tasks_running.set(static_cast<double>(tasks->running()));
  if (stores.sqlite) metrics.store_write_queue.set(static_cast<double>(stores.sqlite->waiting_writes()));
  collect_engines(*engines, metrics);
  spending->collect();
  metrics.streams.set(static_cast<double>(stream_table->streams()));
  const observe::ProcessStats process = observe::read_process_stats();
  metrics.process_memory.set(static_cast<double>(process.resident_bytes));
  metrics.process_cpu.set(process.cpu_seconds);
  metrics.process_fds.set(static_cast<double>(process.open_fds));
  metrics.process_threads.set(static_cast<double>(process.threads));
  metrics.process_start.set(process.start_time_seconds);
}

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Engine>> Engine::create(config::Snapshot settings, base::Logger& log) {
  auto parts = std::make_unique<Parts>(std::move(settings), log);
  TESSERA_CHECK(parts->open());
  return std::unique_ptr<Engine>(new Engine(std::move(parts)));
}

Engine::~Engine() {
  stop(parts_->settings->server.shutdown_grace_ms);
}

bool Engine::stop(base::Millis grace) {
  if (std::exchange(parts_->stopped, true)) return true;
  const base::SteadyTime end = parts_->clock.now() + grace;
  const auto left = [&] {
    return std::max(base::Millis(0), std::chrono::duration_cast<base::Millis>(end - parts_->clock.now()));
  };
  bool all = parts_->streams->stop(left());
  all = parts_->directories->stop(left()) && all;
  parts_->engines->stop();
  all = parts_->spending->stop(left()) && all;
  parts_->metrics.remove_collectors();
  parts_->feed->stop();
  return all;
}

async::Task<Result<>> Engine::wait_ready(async::WaitBounds bounds) {
  return parts_->feed->wait_ready(std::move(bounds));
}

const Settings& Engine::settings() const {
  return *parts_->settings;
}
config::Snapshot Engine::snapshot() const {
  return parts_->settings;
}
rag::IngestService& Engine::ingest() {
  return *parts_->ingest;
}
rag::Library& Engine::library() {
  return *parts_->library;
}
rag::DirectoryIngest& Engine::directories() {
  return *parts_->directories;
}
rag::TaskRegistry& Engine::tasks() {
  return *parts_->tasks;
}
rag::IndexFeed& Engine::feed() {
  return *parts_->feed;
}
rag::EmbedderTable& Engine::embedders() {
  return parts_->models->embedders();
}
core::Retriever& Engine::retriever() {
  return *parts_->retriever;
}
const core::DocumentParser& Engine::parser() const {
  return *parts_->parser;
}
chat::ChatService& Engine::chat() {
  return *parts_->chat;
}
chat::ChatStreams& Engine::streams() {
  return *parts_->streams;
}
chat::StreamTable& Engine::stream_table() {
  return *parts_->stream_table;
}
chat::CompletionService& Engine::completions() {
  return *parts_->completions;
}
chat::Sessions& Engine::sessions() {
  return *parts_->sessions;
}
core::ModelCatalog& Engine::models() {
  return *parts_->catalog;
}
core::ModelLister& Engine::provider_models() {
  return parts_->models->provider_models();
}
account::Spending& Engine::spending() {
  return *parts_->spending;
}
account::BackgroundCalls& Engine::background_calls() {
  return *parts_->background_calls;
}
core::ResponseOwnerStore& Engine::response_owners() {
  return parts_->stores.responses();
}
account::KeyRing& Engine::keys() {
  return *parts_->keys;
}
const llm::LocalEngines& Engine::engines() const {
  return *parts_->engines;
}
wire::HttpClient& Engine::http() {
  return *parts_->http;
}
observe::Metrics& Engine::metrics() {
  return parts_->metrics;
}
observe::SystemSampler& Engine::sampler() {
  return parts_->sampler;
}
Performance& Engine::performance() {
  return *parts_->performance;
}
async::Shards& Engine::shards() {
  return parts_->shards;
}
base::Logger& Engine::log() {
  return parts_->log;
}
const base::Clock& Engine::clock() const {
  return parts_->clock;
}
const base::IdSource& Engine::ids() const {
  return parts_->ids;
}

core::CollectionSettings collection_defaults(const Settings& settings) {
  core::CollectionSettings defaults;
  defaults.chunk_size = settings.chunk.size;
  defaults.chunk_overlap = settings.chunk.overlap;
  defaults.embedding_model = settings.embedding.model;
  defaults.stemming = settings.search.stemming;
  return defaults;
}

std::string_view version() {
  return TESSERA_VERSION;
}

}  // namespace tessera::app
