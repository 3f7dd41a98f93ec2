#include "app/performance.h"

namespace tessera::app {
namespace {

template <class Family>
double average_ms(const Family& family) {
  double seconds = 0;
  uint64_t count = 0;
  family.each([&](const auto&, const observe::Histogram& each) {
    const observe::Histogram::Snapshot now = each.snapshot();
    seconds += now.sum;
    count += now.count;
  });
  return count == 0 ? 0 : seconds * 1000 / static_cast<double>(count);
}

}  // namespace

double Performance::rate(uint64_t queries) {
  const std::lock_guard lock(mutex_);
  const base::SteadyTime now = means_.clock.now();
  const double seconds = std::chrono::duration<double>(now - since_).count();
  if (seconds < 1 && looked_) return per_second_;
  if (seconds > 0) per_second_ = static_cast<double>(queries - queries_) / seconds;
  since_ = now;
  queries_ = queries;
  looked_ = true;
  return per_second_;
}

api::PerformanceFigures Performance::figures() {
  api::PerformanceFigures figures;
  for (const llm::EngineStats& pool : means_.engines.stats()) {
    if (pool.kind != llm::EngineKind::chat && pool.kind != llm::EngineKind::embedding) continue;
    auto& told = pool.kind == llm::EngineKind::chat ? figures.models : figures.embeddings;
    told.active += pool.ready;
    told.busy += pool.busy;
    told.queue += pool.queue;
  }
  // Those who wait for a provider wait for a model, too.
  means_.metrics.llm_queue.each(
      [&](const auto&, const observe::Gauge& each) { figures.models.queue += static_cast<size_t>(each.value()); });
  figures.models.average_ms = average_ms(means_.metrics.llm_duration);
  figures.embeddings.average_ms = average_ms(means_.metrics.embedding_duration);
  if (means_.store == nullptr) return figures;
  const store::SqliteStats store = means_.store->stats();
  figures.l1 = {.hits = store.cache_hits, .misses = store.cache_misses};
  figures.cache_bytes = store.cache_bytes;
  figures.connections = store.connections_busy;
  figures.connections_pool = store.connections;
  figures.queries_per_second = rate(store.queries);
  return figures;
}

}  // namespace tessera::app
