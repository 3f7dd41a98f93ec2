#include "app/server.h"

#include <fmt/format.h>

#include "api/api.h"
#include "app/local_models.h"
#include "app/performance.h"
#include "async/task_scope.h"
#include "config/load.h"
#include "config/render.h"
#include "rag/directory_ingest.h"
#include "wire/http_server.h"

namespace tessera::app {
namespace {

using base::Result;
using config::Settings;

api::ApiParts api_parts(Engine& engine) {
  return {.ingest = engine.ingest(),
          .library = engine.library(),
          .directories = engine.directories(),
          .tasks = engine.tasks(),
          .feed = engine.feed(),
          .embedders = engine.embedders(),
          .retriever = engine.retriever(),
          .chat = engine.chat(),
          .streams = engine.streams(),
          .stream_table = engine.stream_table(),
          .completions = engine.completions(),
          .sessions = engine.sessions(),
          .models = engine.models(),
          .keys = engine.keys(),
          .spending = engine.spending(),
          .background_calls = engine.background_calls(),
          .response_owners = engine.response_owners(),
          .http = engine.http(),
          .metrics = engine.metrics(),
          .sampler = engine.sampler(),
          .log = engine.log(),
          .clock = engine.clock(),
          .ids = engine.ids(),
          .provider_models = &engine.provider_models()};
}

core::SearchMode search_mode(std::string_view word) {
  if (word == "dense") return core::SearchMode::dense;
  return word == "lexical" ? core::SearchMode::lexical : core::SearchMode::hybrid;
}

api::ApiOptions api_options(Engine& engine) {
  const config::Snapshot snapshot = engine.snapshot();
  const llm::LocalEngines& engines = engine.engines();
  const Settings& settings = *snapshot;
  api::ApiOptions options;
  options.version = version();
  options.deadlines = {settings.deadlines.t1_ms, settings.deadlines.t2_ms, settings.deadlines.t3_ms,
                       settings.deadlines.t4_ms, settings.deadlines.t5_ms};
  options.collection_defaults = collection_defaults(settings);
  options.search_mode = search_mode(settings.search.mode);
  options.search_top_k = settings.search.top_k;
  options.search_top_k_max = settings.search.top_k_max;
  options.chat_top_k = settings.chat.top_k;
  options.chat_temperature = settings.chat.temperature;
  options.chat_max_tokens = settings.chat.max_tokens;
  options.chat_max_history_messages = settings.chat.max_history_messages;
  options.chat_max_history_tokens = settings.chat.max_history_tokens;
  options.allow_private_addresses = settings.ingest.allow_private_addresses;
  options.fetch_timeout = settings.ingest.fetch_timeout_ms;
  options.document_bytes_max = static_cast<uint64_t>(settings.ingest.document_bytes_max);
  options.body_bytes_max = static_cast<uint64_t>(settings.server.body_bytes_max);
  options.batch_lines_max = static_cast<size_t>(settings.ingest.batch_lines_max);
  options.log_requests = settings.log.requests;
  options.loopback_only = settings.auth.mode == "open";
  options.keys_required = settings.auth.mode == "keys";
  options.cors_origins = settings.server.cors_origins;
  if (!settings.ingest.roots.empty()) options.default_directory = settings.ingest.roots.front();
  options.config_json = [snapshot] { return config::show_json(*snapshot); };
  options.performance = [&performance = engine.performance()] { return performance.figures(); };
  if (!engines.empty()) options.local_models = [&engines] { return engines_health(engines); };
  return options;
}

// The server listens on addresses; the settings may say "localhost".
std::string numeric_address(const std::string& host) {
  if (host == "localhost") return "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) return host.substr(1, host.size() - 2);
  return host;
}

wire::HttpServerOptions http_options(const Settings& settings) {
  wire::HttpServerOptions options;
  options.address = numeric_address(settings.server.host);
  options.port = static_cast<uint16_t>(settings.server.port);
  options.header_bytes_max = static_cast<size_t>(settings.server.header_bytes_max);
  options.body_bytes_max = static_cast<uint64_t>(settings.server.body_bytes_max);
  options.connections_max = static_cast<size_t>(settings.server.connections_max);
  options.header_timeout = settings.server.header_timeout_ms;
  options.body_idle_timeout = settings.server.body_timeout_ms;
  options.keep_alive_timeout = settings.server.idle_timeout_ms;
  options.write_timeout = settings.server.write_timeout_ms;
  return options;
}

}  // namespace

struct Server::Parts {
  explicit Parts(Engine& owner)
      : engine(owner), api(api_parts(owner), api_options(owner)), background(owner.shards().executor(0)) {}
  Engine& engine;
  api::Api api;
  async::TaskScope background;
  std::unique_ptr<wire::HttpServer> http;
  wire::HttpServerStats told;  // what the metrics know; touched by the collector only
  bool stopped = false;

  void collect();
};

// Gauges are set; totals grow by what came since the last time.
void Server::Parts::collect() {
  const wire::HttpServerStats now = http->stats();
  observe::Metrics& metrics = engine.metrics();
  metrics.connections.set(static_cast<double>(now.connections));
  metrics.http_in_flight.set(static_cast<double>(now.requests_in_flight));
  metrics.connections_accepted.increment(now.accepted_total - told.accepted_total);
  metrics.connections_evicted.increment(now.evicted_total - told.evicted_total);
  metrics.http_bytes_out.increment(now.body_bytes_total - told.body_bytes_total);
  told = now;
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Server>> Server::start(Engine& engine) {
  auto parts = std::make_unique<Parts>(engine);
  Parts* const all = parts.get();
  auto options = http_options(engine.settings());
  options.body_bytes_free = 64 * 1024;  // the least that body_limit ever allows
  options.body_limit = [all](const wire::Request& head) { return all->api.body_limit(head); };
  TESSERA_TRY(parts->http, wire::HttpServer::create(
                               std::move(options), engine.shards(), engine.clock(),
                               [all](wire::Request& request, wire::ResponseWriter& writer) {
                                 return all->api.handle(request, writer);
                               },
                               [all](int status, std::string_view code, std::string_view message) {
                                 return all->api.render_transport_error(status, code, message);
                               }));
  engine.metrics().add_collector([all] { all->collect(); });
  parts->background.spawn([all]() -> async::Task<> {
    if (const auto resumed = co_await all->engine.directories().resume(); !resumed) {
      all->engine.log().failure("resume_failed", resumed.error());
    }
  });
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::~Server() {
  stop(base::Millis(0));
}

uint16_t Server::port() const {
  return parts_->http->port();
}

std::string Server::url() const {
  const std::string host = numeric_address(parts_->engine.settings().server.host);
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("http://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port());
}

bool Server::stop(base::Millis grace) {
  if (std::exchange(parts_->stopped, true)) return true;
  const bool whole = parts_->http->stop(grace);
  parts_->engine.metrics().remove_collectors();
  parts_->background.cancel();
  if (!parts_->background.join_blocking(base::Millis(5000)))
    parts_->engine.log().log(base::LogLevel::warn, "resume_stuck");
  return whole;
}

}  // namespace tessera::app
