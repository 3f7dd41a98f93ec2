#include "api/schema_fields.h"

namespace tessera::api {
namespace {

using namespace fields;

// --- What operators ask ---

constexpr Field kHealthFields[] = {
    required(choice_field("status", "ok|starting|degraded|unavailable", "How the server is")),
    required(text_field("version", "Which server")),
};
constexpr Schema kHealth{"Health", kHealthFields};

constexpr Field kCacheFiguresFields[] = {
    required(integer_field("l1_hits", "Passages found in memory")),
    required(integer_field("l1_misses", "Passages that had to be read")),
    required(number_field("l1_hit_rate", "0 to 1")),
    required(integer_field("l2_hits", "Of a second level; 0 where there is none")),
    required(integer_field("l2_misses", "As l2_hits")),
    required(number_field("l2_hit_rate", "As l2_hits")),
    required(number_field("size_mb", "Of what is kept, in millions of bytes")),
};
constexpr Schema kCacheFigures{"CacheFigures", kCacheFiguresFields};
constexpr Field kModelFiguresFields[] = {
    required(integer_field("active_instances", "Local models that take requests")),
    required(integer_field("busy_instances", "Of these: with at least one request")),
    required(integer_field("queue_length", "Requests that wait for a local model or a provider")),
    required(number_field("avg_inference_time_ms", "Of all calls since the start, to providers as well")),
};
constexpr Schema kModelFigures{"ModelFigures", kModelFiguresFields};
constexpr Field kEmbeddingFiguresFields[] = {
    required(integer_field("active_instances", "Local embedding models that take requests; the built-in one is none")),
    required(integer_field("busy_instances", "Of these: with at least one request")),
    required(integer_field("queue_length", "Requests that wait for one")),
    required(number_field("avg_embedding_time_ms", "Of all batches since the start, of the built-in model as well")),
};
constexpr Schema kEmbeddingFigures{"EmbeddingFigures", kEmbeddingFiguresFields};
constexpr Field kDatabaseFiguresFields[] = {
    required(integer_field("connections", "At work")),
    required(integer_field("connection_pool_size", "There are")),
    required(number_field("queries_per_second", "Reads and writes, since the last look")),
};
constexpr Schema kDatabaseFigures{"DatabaseFigures", kDatabaseFiguresFields};
constexpr Field kSystemFiguresFields[] = {
    required(number_field("cpu_percent", "Of all cores")),
    required(number_field("memory_percent", "Not available for new work")),
    required(number_field("disk_percent", "Of the file system with the data")),
};
constexpr Schema kSystemFigures{"SystemFigures", kSystemFiguresFields};
constexpr Field kPerformanceMetricsFields[] = {
    required(text_field("timestamp", "RFC 3339")),
    required(object_field("cache", &kCacheFigures, "What is kept in memory of the store")),
    required(object_field("model", &kModelFigures, "Chat models")),
    required(object_field("embeddings", &kEmbeddingFigures, "Embedding models")),
    required(object_field("db", &kDatabaseFigures, "The database")),
    required(object_field("system", &kSystemFigures, "The machine")),
};
constexpr Schema kPerformanceMetrics{"PerformanceMetrics", kPerformanceMetricsFields};

constexpr const Schema* kOperationSchemas[] = {
    &kHealth,          &kCacheFigures,  &kModelFigures,       &kEmbeddingFigures,
    &kDatabaseFigures, &kSystemFigures, &kPerformanceMetrics,
};

}  // namespace

std::span<const Schema* const> operation_schemas() {
  return kOperationSchemas;
}

}  // namespace tessera::api
