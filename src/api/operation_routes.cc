#include "api/operation_routes.h"

#include "api/json_writer.h"
#include "api/web_page.h"
#include "observe/metrics.h"
#include "observe/process_stats.h"
#include "rag/embedder_table.h"
#include "rag/index_feed.h"
#include "rag/library.h"

namespace tessera::api {
namespace {

void write_system(JsonWriter& out, const observe::SystemStats& stats) {
  out.key("system")
      .begin_object()
      .field("cpu_percent", stats.cpu_percent)
      .field("memory_percent", stats.memory_percent)
      .field("disk_percent", stats.disk_percent)
      .end_object();
}

void write_cache(JsonWriter& out, std::string_view level, const PerformanceFigures::Cache& cache) {
  const uint64_t all = cache.hits + cache.misses;
  const std::string name(level);
  out.field(name + "_hits", cache.hits)
      .field(name + "_misses", cache.misses)
      .field(name + "_hit_rate", all == 0 ? 0.0 : static_cast<double>(cache.hits) / static_cast<double>(all));
}

JsonWriter& write_pool(JsonWriter& out, const PerformanceFigures::Pool& pool) {
  return out.begin_object()
      .field("active_instances", pool.active)
      .field("busy_instances", pool.busy)
      .field("queue_length", pool.queue);
}

std::string_view state_name(rag::IndexHealth::State state) {
  switch (state) {
    case rag::IndexHealth::State::starting:
      return "starting";
    case rag::IndexHealth::State::serving:
      return "serving";
    case rag::IndexHealth::State::rebuilding:
      return "rebuilding";
    case rag::IndexHealth::State::failed:
      return "failed";
    case rag::IndexHealth::State::stopped:
      return "stopped";
  }
  return "failed";
}

void write_index_faults(JsonWriter& out, const rag::IndexHealth& index,
                        const std::vector<rag::StaleCollection>& stale) {
  if (!index.error.empty()) out.field("error", index.error);
  if (index.not_whole > 0) {
    out.field("documents_not_whole", index.not_whole).field("last_not_whole", index.last_not_whole);
  }
  if (stale.empty()) return;
  out.key("to_reindex").begin_array();
  for (const rag::StaleCollection& each : stale) {
    out.begin_object()
        .field("collection", each.collection)
        .field("dimensions", each.dimensions)
        .field("model_dimensions", each.model_dimensions)
        .end_object();
  }
  out.end_array();
}

}  // namespace

OperationRoutes::OperationRoutes(const ApiParts& parts, const ApiOptions& options) : parts_(parts), options_(options) {
  JsonWriter out;
  out.begin_object().field("status", "ok").field("version", options.version).end_object();
  alive_ = out.take();
}

void OperationRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::health) = [this](Call& call) { return health(call); };
  at(RouteId::ready) = [this](Call& call) { return ready(call); };
  at(RouteId::api_health) = [this](Call& call) { return api_health(call); };
  at(RouteId::health_detailed) = [this](Call& call) { return health_detailed(call); };
  at(RouteId::performance_metrics) = [this](Call& call) { return performance_metrics(call); };
  at(RouteId::metrics) = [this](Call& call) { return metrics(call); };
  at(RouteId::show_config) = [this](Call& call) { return show_config(call); };
  at(RouteId::openapi) = [this](Call& call) { return openapi(call); };
  at(RouteId::docs) = [this](Call& call) { return docs(call); };
  at(RouteId::page) = [this](Call& call) { return page(call); };
}

async::Task<base::Result<Reply>> OperationRoutes::health(Call&) {
  Reply reply;
  reply.body = alive_;
  co_return reply;
}

async::Task<base::Result<Reply>> OperationRoutes::ready(Call&) {
  TESSERA_CO_CHECK(parts_.feed.check_serving());
  Reply reply;
  reply.body = alive_;
  co_return reply;
}

async::Task<base::Result<Reply>> OperationRoutes::api_health(Call&) {
  JsonWriter out;
  out.begin_object()
      .field("status", parts_.feed.check_serving() ? "ok" : "degraded")
      .field("version", options_.version);
  write_system(out, parts_.sampler.sample());
  out.end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> OperationRoutes::health_detailed(Call& call) {
  const rag::IndexHealth index = parts_.feed.health();
  const bool serving = index.state == rag::IndexHealth::State::serving;
  const bool failed = index.state == rag::IndexHealth::State::failed || index.state == rag::IndexHealth::State::stopped;
  const auto collections = co_await parts_.library.list_collections(call.context);
  const auto stale = collections ? parts_.library.stale(*collections) : std::vector<rag::StaleCollection>();
  const bool whole = serving && index.not_whole == 0 && stale.empty();
  const PartHealth local = options_.local_models ? options_.local_models() : PartHealth{};
  const std::string_view status = !collections || failed ? "UNHEALTHY" : (whole && local.well ? "HEALTHY" : "DEGRADED");
  JsonWriter out;
  out.begin_object().field("status", status).field("version", options_.version).key("components").begin_object();
  out.key("index")
      .begin_object()
      .field("status", whole ? "HEALTHY" : (failed ? "UNHEALTHY" : "DEGRADED"))
      .field("state", state_name(index.state))
      .field("lag", index.lag())
      .field("queued", index.queued)
      .field("rebuilds", index.rebuilds)
      .field("save_failures", index.save_failures)
      .field("damage_found", index.damage.found);
  if (index.damage.found > 0) out.field("last_damage", index.damage.last);
  write_index_faults(out, index, stale);
  out.end_object();
  out.key("store").begin_object().field("status", collections ? "HEALTHY" : "UNHEALTHY");
  if (!collections) out.field("error", collections.error().message);
  out.end_object();
  out.key("embeddings")
      .begin_object()
      .field("status", "HEALTHY")
      .field("model", parts_.embedders.fallback().model())
      .end_object();
  out.key("model_manager")
      .begin_object()
      .field("status", "HEALTHY")
      .field("models", parts_.models.list().size())
      .end_object();
  if (options_.local_models) out.key("local_models").raw(local.json);
  out.end_object();
  write_system(out, parts_.sampler.sample());
  const observe::ProcessStats process = observe::read_process_stats();
  out.key("process")
      .begin_object()
      .field("resident_bytes", process.resident_bytes)
      .field("cpu_seconds", process.cpu_seconds)
      .field("open_fds", process.open_fds)
      .field("threads", process.threads)
      .end_object();
  out.end_object();
  Reply reply;
  reply.status = status == "UNHEALTHY" ? 503 : 200;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> OperationRoutes::performance_metrics(Call&) {
  const PerformanceFigures now = options_.performance ? options_.performance() : PerformanceFigures{};
  JsonWriter out;
  out.begin_object().field("timestamp", base::format_rfc3339(parts_.clock.unix_ms()));
  out.key("cache").begin_object();
  write_cache(out, "l1", now.l1);
  write_cache(out, "l2", now.l2);
  out.field("size_mb", static_cast<double>(now.cache_bytes) / 1e6).end_object();
  write_pool(out.key("model"), now.models).field("avg_inference_time_ms", now.models.average_ms).end_object();
  write_pool(out.key("embeddings"), now.embeddings)
      .field("avg_embedding_time_ms", now.embeddings.average_ms)
      .end_object();
  out.key("db")
      .begin_object()
      .field("connections", now.connections)
      .field("connection_pool_size", now.connections_pool)
      .field("queries_per_second", now.queries_per_second)
      .end_object();
  write_system(out, parts_.sampler.sample());
  out.end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> OperationRoutes::metrics(Call&) {
  Reply reply;
  reply.content_type = observe::kMetricsContentType;
  reply.body = parts_.metrics.render();
  co_return reply;
}

async::Task<base::Result<Reply>> OperationRoutes::show_config(Call&) {
  Reply reply;
  reply.body = options_.config_json();
  co_return reply;
}

async::Task<base::Result<Reply>> OperationRoutes::openapi(Call&) {
  Reply reply;
  reply.body = openapi_json(options_.version);
  co_return reply;
}

namespace {

Reply html_reply(std::string_view html, const base::IdSource& ids) {
  const std::string nonce = ids.next() + ids.next();
  Reply reply;
  reply.content_type = "text/html; charset=utf-8";
  reply.headers = {{"Content-Security-Policy", page_policy(nonce)},
                   {"X-Content-Type-Options", "nosniff"},
                   {"Referrer-Policy", "no-referrer"},
                   {"Cache-Control", "no-store"}};
  reply.body = with_nonce(html, nonce);
  return reply;
}

}  // namespace

async::Task<base::Result<Reply>> OperationRoutes::docs(Call&) {
  co_return html_reply(docs_page(), parts_.ids);
}

async::Task<base::Result<Reply>> OperationRoutes::page(Call&) {
  co_return html_reply(embedded_page(), parts_.ids);
}

}  // namespace tessera::api
