#include "app/local_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/engine_options.h"
#include "app/model_routes.h"
#include "base/log.h"
#include "llm/extractive/extractive_model.h"

namespace tessera::app {
namespace {

using config::Settings;
using llm::EngineKind;
using llm::EnginePoolOptions;

int64_t threads_of(int64_t setting, size_t instances) {
  if (setting > 0) return setting;
  return static_cast<int64_t>(std::max<size_t>(1, cores() / std::max<size_t>(1, instances)));
}

// What all pools of llama-server have in common.
EnginePoolOptions llama_pool(const Settings& settings, EngineKind kind, const llm::ModelFile& file) {
  const config::LlamaCppSettings& llama_cpp = settings.llama_cpp;
  const config::PerformanceSettings& performance = settings.performance;
  EnginePoolOptions pool;
  const bool chat = kind == EngineKind::chat;
  pool.instances = static_cast<size_t>(chat ? performance.model_pool_size : performance.embeddings_pool_size);
  if (chat && performance.model_pool_per_gpu > 0 && !performance.cuda_devices.empty()) {
    pool.instances = static_cast<size_t>(performance.model_pool_per_gpu) * performance.cuda_devices.size();
  }
  pool.pinned = llama_cpp.start == "boot";
  pool.idle_timeout = llama_cpp.idle_timeout_ms;
  pool.load_timeout = llama_cpp.load_timeout_ms;
  pool.call_timeout = llama_cpp.call_timeout_ms;
  pool.waiting_max = static_cast<size_t>(performance.model_queue_max);
  pool.memory_bytes = file.bytes;
  llm::EngineSpec& spec = pool.spec;
  spec.kind = kind;
  spec.name = file.name;
  spec.model_path = file.path;
  spec.program = llama_cpp.command;
  spec.context = llama_cpp.n_ctx;
  // An encoder cannot read more at once than it was trained for.
  if (!chat && file.context_length > 0)
    spec.context = std::min(spec.context, static_cast<int64_t>(file.context_length));
  spec.slots = llama_cpp.n_parallel;
  spec.threads = threads_of(llama_cpp.n_threads, pool.instances);
  spec.gpu_layers = llama_cpp.n_gpu_layers;
  spec.batch = llama_cpp.n_batch;
  spec.mmap = settings.memory.model_mmap;
  spec.verbose = llama_cpp.verbose;
  spec.devices = performance.cuda_devices;
  spec.arguments = llama_cpp.arguments;
  spec.environment = llama_cpp.environment;
  return pool;
}

EnginePoolOptions whisper_pool(const Settings& settings) {
  const config::WhisperSettings& whisper = settings.whisper;
  EnginePoolOptions pool = llama_pool(settings, EngineKind::transcription, {});
  pool.instances = static_cast<size_t>(whisper.pool_size);
  pool.memory_bytes = 0;  // the file's size
  llm::EngineSpec& spec = pool.spec;
  spec.model_path = whisper.model_path;
  spec.name = std::filesystem::path(whisper.model_path).stem().string();
  spec.program = whisper.command;
  spec.language = whisper.language;
  spec.slots = 1;
  spec.threads = threads_of(whisper.n_threads, pool.instances);
  spec.arguments = whisper.arguments;
  return pool;
}

}  // namespace

base::Result<std::vector<llm::ModelFile>> local_chat_files(const Settings& settings) {
  const std::string& path = settings.llama_cpp.model_path;
  if (path.empty()) return std::vector<llm::ModelFile>();
  const std::string& quantization = settings.model.quantization;
  return llm::find_model_files(path, quantization == "any" ? "" : quantization);
}

base::Result<llm::LocalEnginesOptions> local_engine_options(const Settings& settings) {
  llm::LocalEnginesOptions options;
  options.memory_bytes_max = static_cast<uint64_t>(settings.memory.max_model_size) * 1'000'000;
  TESSERA_TRY(const auto chat, local_chat_files(settings));
  for (const llm::ModelFile& file : chat) options.pools.push_back(llama_pool(settings, EngineKind::chat, file));
  if (const std::string& path = settings.llama_cpp.embedding_model_path; !path.empty()) {
    TESSERA_TRY(const llm::ModelFile file, llm::read_model_file(path));
    options.pools.push_back(llama_pool(settings, EngineKind::embedding, file));
  }
  if (const std::string& path = settings.llama_cpp.rerank_model_path; !path.empty()) {
    TESSERA_TRY(const llm::ModelFile file, llm::read_model_file(path));
    options.pools.push_back(llama_pool(settings, EngineKind::rerank, file));
  }
  if (!settings.whisper.model_path.empty()) options.pools.push_back(whisper_pool(settings));
  return options;
}

std::string default_model_text(const Settings& settings) {
  if (settings.chat.default_model != "auto") return settings.chat.default_model;
  std::vector<std::string> local;
  if (const auto files = local_chat_files(settings)) {
    for (const llm::ModelFile& file : *files) local.push_back(file.name);
  }
  std::string names;
  for (const ModelPlace& place : automatic_models(settings, llm::kLocalProvider, local)) {
    names += (names.empty() ? "" : ", then ") + place.full_name();
  }
  return names.empty() ? std::string(llm::kExtractiveModelId) : names;
}

api::PartHealth engines_health(const llm::LocalEngines& engines) {
  api::PartHealth health;
  std::string pools;
  for (const llm::EngineStats& pool : engines.stats()) {
    const bool well = pool.last_failure.empty();
    health.well = health.well && well;
    if (!pools.empty()) pools += ',';
    pools += R"({"model":)";
    base::append_json_string(pools, pool.model);
    pools += fmt::format(
        R"(,"kind":"{}","status":"{}","instances":{},"active_instances":{},"starting":{},"busy_instances":{},)"
        R"("busy_slots":{},"queue_length":{},"restarts":{},"requests":{},"continued":{}}})",
        to_string(pool.kind), well ? "HEALTHY" : "DEGRADED", pool.instances, pool.ready, pool.starting, pool.busy,
        pool.slots_busy, pool.queue, pool.restarts, pool.requests, pool.continued);
  }
  health.json = fmt::format(R"({{"status":"{}","pools":[{}]}})", health.well ? "HEALTHY" : "DEGRADED", pools);
  return health;
}

void collect_engines(const llm::LocalEngines& engines, observe::Metrics& metrics) {
  for (const llm::EngineStats& pool : engines.stats()) {
    const std::string_view kind = to_string(pool.kind);
    metrics.engine_instances.with({kind, pool.model}).set(static_cast<double>(pool.ready));
    metrics.engine_busy.with({kind, pool.model}).set(static_cast<double>(pool.busy));
    metrics.engine_queue.with({kind, pool.model}).set(static_cast<double>(pool.queue));
    metrics.engine_restarts.with({kind, pool.model}).set(static_cast<double>(pool.restarts));
    metrics.engine_requests.with({kind, pool.model}).set(static_cast<double>(pool.requests));
    metrics.engine_continued.with({kind, pool.model}).set(static_cast<double>(pool.continued));
  }
}

}  // namespace tessera::app
