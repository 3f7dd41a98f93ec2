#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/performance.h"
#include "async/task.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "core/chat_model.h"
#include "core/documents.h"
#include "core/retriever.h"
#include "wire/http_server.h"

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
namespace tessera::core {
class ModelLister;
class ResponseOwnerStore;
}  // namespace tessera::core
namespace tessera::observe {
class Metrics;
class SystemSampler;
}  // namespace tessera::observe
namespace tessera::rag {
class DirectoryIngest;
class EmbedderTable;
class IndexFeed;
class IngestService;
class Library;
class TaskRegistry;
}  // namespace tessera::rag
namespace tessera::wire {
class HttpClient;
}

namespace tessera::api {

/// The services behind the routes; all outlive the Api.
struct ApiParts {
  rag::IngestService& ingest;
  rag::Library& library;
  rag::DirectoryIngest& directories;
  rag::TaskRegistry& tasks;
  rag::IndexFeed& feed;
  rag::EmbedderTable& embedders;
  core::Retriever& retriever;
  chat::ChatService& chat;
  chat::ChatStreams& streams;
  chat::StreamTable& stream_table;
  chat::CompletionService& completions;
  chat::Sessions& sessions;
  core::ModelCatalog& models;
  account::KeyRing& keys;
  account::Spending& spending;
  account::BackgroundCalls& background_calls;
  core::ResponseOwnerStore& response_owners;
  wire::HttpClient& http;
  observe::Metrics& metrics;
  observe::SystemSampler& sampler;
  base::Logger& log;
  const base::Clock& clock;
  const base::IdSource& ids;
  core::ModelLister* provider_models = nullptr;  ///< further models for GET /v1/models, as providers list them; or null
};

/// What the routes take from the settings.
/// How a part of the server is that the routes know nothing of.
struct PartHealth {
  bool well = true;
  std::string json;  ///< an object
};

struct ApiOptions {
  std::string version;
  std::array<base::Millis, 5> deadlines{base::Millis(5'000), base::Millis(10'000), base::Millis(60'000),
                                        base::Millis(120'000), base::Millis(600'000)};  ///< by tier
  core::CollectionSettings collection_defaults;
  core::SearchMode search_mode = core::SearchMode::hybrid;
  int64_t search_top_k = 5;
  int64_t search_top_k_max = 1000;
  int64_t chat_top_k = 5;
  double chat_temperature = 0.3;
  int64_t chat_max_tokens = 1024;
  int64_t chat_max_history_messages = 10;
  int64_t chat_max_history_tokens = 8000;
  bool allow_private_addresses = false;
  base::Millis fetch_timeout{30'000};
  uint64_t document_bytes_max = 32ULL << 20U;
  uint64_t body_bytes_max = 64ULL << 20U;
  size_t batch_lines_max = 100'000;
  bool log_requests = true;
  bool loopback_only = true;   ///< auth.mode open: only loopback Host names are answered (DNS rebinding)
  bool keys_required = false;  ///< auth.mode keys: every route with a scope needs a key that has it
  std::vector<std::string> cors_origins;
  std::string default_directory;             ///< the first of ingest.roots, or empty
  std::function<std::string()> config_json;  ///< the settings in force, secrets redacted
  /// The processes of local models, for /api/health/detailed; empty: there are none.
  std::function<PartHealth()> local_models;
  std::function<PerformanceFigures()> performance;  ///< for /api/performance/metrics
};

/// The HTTP contract: routes, the pipeline every request goes through, and the rendering of answers and errors. One for
/// the whole server; thread-safe; stateless between requests but for metrics. Stops with the server that calls it.
class Api {
 public:
  Api(ApiParts parts, ApiOptions options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  /// Answers one request; hand this to wire::HttpServer.
  async::Task<> handle(wire::Request& request, wire::ResponseWriter& writer);
  /// How long the body of a request with this head may be.
  [[nodiscard]] uint64_t body_limit(const wire::Request& head) const;
  /// The server's own refusals in our envelope.
  [[nodiscard]] wire::Response render_transport_error(int status, std::string_view code,
                                                      std::string_view message) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The contract as OpenAPI 3.1, from the tables; does not need a server.
std::string openapi_json(std::string_view version);

}  // namespace tessera::api
