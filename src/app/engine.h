#pragma once

#include <memory>
#include <string_view>

#include "async/shards.h"
#include "async/waiter.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/result.h"
#include "config/settings.h"
#include "core/chat_model.h"
#include "core/documents.h"
#include "core/model_ports.h"
#include "core/parser.h"
#include "core/response_owners.h"
#include "core/retriever.h"
#include "observe/metrics.h"
#include "observe/process_stats.h"

namespace tessera::account {
class KeyRing;
class BackgroundCalls;
class Spending;
}  // namespace tessera::account
namespace tessera::chat {
class ChatService;
class ChatStreams;
class CompletionService;
class Sessions;
class StreamTable;
}  // namespace tessera::chat
namespace tessera::rag {
class DirectoryIngest;
class EmbedderTable;
class IndexFeed;
class IngestService;
class Library;
class TaskRegistry;
}  // namespace tessera::rag
namespace tessera::llm {
class LocalEngines;
}
namespace tessera::wire {
class HttpClient;
}

namespace tessera::app {

class Performance;

/// The product without its server: the store, the indexes, the models and the services over them, built from settings.
/// A program that embeds Tessera creates one and calls the services; `Server` is one such program. Thread-safe once
/// created; outlives everything that uses it. Stops: `stop` (or destruction) ends background work, applies and saves
/// what the indexes have queued, closes the store. Whatever runs on its shards for others is ended before that.
class Engine {
 public:
  /// Opens the store and begins to catch the indexes up (see wait_ready). Blocking. `log` outlives the engine. Errors:
  /// the store's (DATABASE_IN_USE, DATABASE_DAMAGED, DATABASE_TOO_NEW, ...), the index's, the models'.
  static base::Result<std::unique_ptr<Engine>> create(config::Snapshot settings, base::Logger& log);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Until all that was stored before is searchable.
  async::Task<base::Result<>> wait_ready(async::WaitBounds bounds = {});
  /// Ends background work and flushes; true when all of it ended within `grace`. Blocking; idempotent; not from a
  /// shard.
  bool stop(base::Millis grace);

  [[nodiscard]] const config::Settings& settings() const;
  [[nodiscard]] config::Snapshot snapshot() const;
  [[nodiscard]] rag::IngestService& ingest();
  [[nodiscard]] rag::Library& library();
  [[nodiscard]] rag::DirectoryIngest& directories();
  [[nodiscard]] rag::TaskRegistry& tasks();
  [[nodiscard]] rag::IndexFeed& feed();
  [[nodiscard]] rag::EmbedderTable& embedders();
  [[nodiscard]] core::Retriever& retriever();
  [[nodiscard]] const core::DocumentParser& parser() const;
  [[nodiscard]] chat::ChatService& chat();
  [[nodiscard]] chat::ChatStreams& streams();
  [[nodiscard]] chat::StreamTable& stream_table();
  [[nodiscard]] chat::CompletionService& completions();
  [[nodiscard]] chat::Sessions& sessions();
  [[nodiscard]] core::ModelCatalog& models();
  [[nodiscard]] core::ModelLister& provider_models();
  [[nodiscard]] account::KeyRing& keys();
  [[nodiscard]] account::Spending& spending();
  [[nodiscard]] account::BackgroundCalls& background_calls();
  [[nodiscard]] core::ResponseOwnerStore& response_owners();
  [[nodiscard]] const llm::LocalEngines& engines() const;
  [[nodiscard]] wire::HttpClient& http();
  [[nodiscard]] observe::Metrics& metrics();
  [[nodiscard]] observe::SystemSampler& sampler();
  [[nodiscard]] Performance& performance();
  [[nodiscard]] async::Shards& shards();
  [[nodiscard]] base::Logger& log();
  [[nodiscard]] const base::Clock& clock() const;
  [[nodiscard]] const base::IdSource& ids() const;

 private:
  struct Parts;
  explicit Engine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

/// What a new collection gets when nothing else is asked for.
core::CollectionSettings collection_defaults(const config::Settings& settings);

/// "0.1.0"
std::string_view version();

}  // namespace tessera::app
