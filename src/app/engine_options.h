#pragma once

#include <cstddef>
#include <cstdint>

#include "async/blocking_pool.h"
#include "chat/chat_service.h"
#include "chat/stream_table.h"
#include "config/settings.h"
#include "parse/parser.h"
#include "rag/directory_ingest.h"
#include "rag/ingest.h"
#include "rag/retriever.h"
#include "rag/task_registry.h"
#include "wire/http_client.h"

namespace tessera::app {

/// What the settings say to each part of the engine. Pure.
parse::ParseLimits parse_limits(const config::Settings& settings);
/// Without an executor for the embedding.
rag::IngestOptions ingest_options(const config::Settings& settings);
rag::RetrieverOptions retriever_options(const config::Settings& settings);
rag::DirectoryOptions directory_options(const config::Settings& settings);
rag::TaskRegistryOptions task_options(const config::Settings& settings);
async::BlockingPoolOptions read_pool_options(const config::Settings& settings);
async::BlockingPoolOptions search_pool_options();
async::BlockingPoolOptions ingest_pool_options(const config::Settings& settings);
chat::ChatOptions chat_options(const config::Settings& settings);
chat::StreamTableOptions stream_options(const config::Settings& settings);

/// Processors of this machine, at least 1.
size_t cores();
/// A number of threads: 0 stands for one per processor.
size_t or_cores(int64_t setting);
/// Every client may have a provider's answer under way.
wire::HttpClientOptions http_options(const config::Settings& settings);

}  // namespace tessera::app
