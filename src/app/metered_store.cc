#include "app/metered_store.h"

namespace tessera::app {
namespace {

double seconds_since(base::SteadyTime start, const base::Clock& clock) {
  return std::chrono::duration<double>(clock.now() - start).count();
}

std::string_view word_of(core::PutOutcome outcome) {
  switch (outcome) {
    case core::PutOutcome::created:
      return "created";
    case core::PutOutcome::updated:
      return "updated";
    case core::PutOutcome::unchanged:
      return "unchanged";
  }
  return {};
}

}  // namespace

MeteredParser::MeteredParser(const core::DocumentParser& inner, observe::Metrics& metrics, const base::Clock& clock)
    : inner_(inner), metrics_(metrics), duration_(metrics.ingest_duration.with("parse")), clock_(clock) {}

base::Result<core::ParsedDocument> MeteredParser::parse(const core::RawDocument& document) const {
  const base::SteadyTime start = clock_.now();
  auto parsed = inner_.parse(document);
  duration_.observe(seconds_since(start, clock_));
  metrics_.ingest_bytes.increment(document.bytes.size());
  if (!parsed) {
    metrics_.ingest_documents.with("failed").increment();
    metrics_.ingest_failures.with(parsed.error().name).increment();
  }
  return parsed;
}

MeteredDocuments::MeteredDocuments(core::DocumentStore& inner, observe::Metrics& metrics, const base::Clock& clock)
    : inner_(inner), metrics_(metrics), duration_(metrics.ingest_duration.with("store")), clock_(clock) {}

core::Task<base::Result<core::PutReceipt>> MeteredDocuments::put_document(core::DocumentWrite write) {
  const base::SteadyTime start = clock_.now();
  auto put = co_await inner_.put_document(std::move(write));
  duration_.observe(seconds_since(start, clock_));
  if (put) {
    metrics_.ingest_documents.with(word_of(put->outcome)).increment();
    if (put->outcome != core::PutOutcome::unchanged) {
      metrics_.ingest_chunks.increment(static_cast<uint64_t>(put->chunks));
    }
  } else {
    metrics_.ingest_documents.with("failed").increment();
    metrics_.ingest_failures.with(put.error().name).increment();
  }
  co_return put;
}

}  // namespace tessera::app
