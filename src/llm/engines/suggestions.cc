#include "llm/engines/suggestions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tessera::llm {
namespace {

constexpr int64_t kContextTokens = 4096;
constexpr double kSystemGb = 2;

constexpr LocalModelAdvice kModels[] = {
    {.name = "GPT4All-J",
     .memory_gb = 4,
     .speed = "fast",
     .accuracy = "good",
     .note = "runs anywhere; the default",
     .kv_bytes = 458'752},
    {.name = "Mistral-7B",
     .memory_gb = 4,
     .speed = "fast",
     .accuracy = "better",
     .note = "about 50 ms to the first word on a GPU",
     .kv_bytes = 131'072},
    {.name = "Llama 2-7B", .memory_gb = 8, .speed = "medium", .accuracy = "better", .note = "", .kv_bytes = 524'288},
    {.name = "Orca 2-7B",
     .memory_gb = 8,
     .speed = "medium",
     .accuracy = "better",
     .note = "good at explaining steps",
     .kv_bytes = 524'288},
    {.name = "Llama 2-13B",
     .memory_gb = 16,
     .speed = "slow",
     .accuracy = "best",
     .gpu = true,
     .note = "wants a GPU",
     .kv_bytes = 819'200},
};

constexpr QuantizationAdvice kQuantizations[] = {
    {"F32", 100, 1, "0"},   {"F16", 50, 1.5, "<1"}, {"Q8", 25, 2, "<2"},
    {"Q6", 18, 2.5, "1-2"}, {"Q5", 16, 3, "2-3"},   {"Q4", 12, 4, "3-5"},
};

const LocalModelAdvice& advice(std::string_view name) {
  return *std::ranges::find(kModels, name, &LocalModelAdvice::name);
}

void choose_model(const Wishes& wishes, Suggestion& out) {
  const auto fits = [&](std::string_view name) { return wishes.memory_gb >= advice(name).memory_gb + 2; };
  if (wishes.fast && fits("Mistral-7B")) {
    out.model = "Mistral-7B";
    out.why = "answers come within half a second";
  } else if (wishes.accurate && fits("Llama 2-13B")) {
    out.model = "Llama 2-13B";
    out.why = "the best answers of those that fit";
  } else if (wishes.accurate && fits("Llama 2-7B")) {
    out.model = "Llama 2-7B";
    out.why = "the best answers that fit: Llama 2-13B needs 16 GB beside the system";
  } else {
    out.model = "GPT4All-J";
    out.why = wishes.memory_gb < 8 ? "less than 8 GB of memory" : "good answers at little cost";
  }
}

// Gigabytes that the system and all instances take with so many conversations each.
double memory_of(const Suggestion& choice, int64_t parallel) {
  const LocalModelAdvice& model = advice(choice.model);
  const double conversation = static_cast<double>(model.kv_bytes * kContextTokens) / 1e9;
  return kSystemGb + static_cast<double>(choice.instances) *
                         (static_cast<double>(model.memory_gb) + static_cast<double>(parallel) * conversation);
}

// A cache for each conversation is there from the start: more of them than memory holds, and no model would load.
void choose_parallel(const Wishes& wishes, Suggestion& out) {
  out.parallel = out.parallel_wanted;
  while (out.parallel > 1 && memory_of(out, out.parallel) > static_cast<double>(wishes.memory_gb)) --out.parallel;
}

}  // namespace

std::span<const LocalModelAdvice> known_local_models() {
  return kModels;
}

std::span<const QuantizationAdvice> known_quantizations() {
  return kQuantizations;
}

Suggestion suggest(const Wishes& wishes) {
  Suggestion out;
  choose_model(wishes, out);
  const int64_t cores = std::max<int64_t>(1, wishes.cores);
  out.workers = std::max<int64_t>(1, cores - 2);
  out.gpu_layers = wishes.gpu ? 35 : 0;
  if (wishes.users <= 1) {
    out.scenario = "single user";
    out.batch = 512;
    out.embedding_batch = 1;
  } else if (wishes.users <= 10) {
    out.scenario = "team (5 to 10 users)";
    out.parallel_wanted = 8;
    out.embedding_batch = 32;
    out.embedding_instances = cores >= 8 ? 2 : 1;
  } else {
    out.scenario = "many users (100 and more)";
    out.parallel_wanted = 32;
    out.batch = 2048;
    out.embedding_batch = 256;
    out.embedding_instances = cores >= 8 && wishes.memory_gb >= 8 ? 3 : 1;
  }
  // Two instances from 16 threads and 16 GB on, three from 32 and 32: each takes its model's memory again.
  const int64_t by_memory = std::max<int64_t>(1, (wishes.memory_gb - 2) / advice(out.model).memory_gb);
  const int64_t by_cores = cores >= 32 && wishes.memory_gb >= 32 ? 3 : (cores >= 16 && wishes.memory_gb >= 16 ? 2 : 1);
  out.instances = wishes.users <= 1 ? 1 : std::min(by_memory, by_cores);
  choose_parallel(wishes, out);
  out.threads = std::max<int64_t>(1, (cores > 2 ? cores - 1 : cores) / out.instances);
  out.max_model_size_mb = std::max<int64_t>(1, wishes.memory_gb * 8 / 10) * 1000;
  out.quantization = wishes.memory_gb >= advice(out.model).memory_gb * 3 ? "Q8" : "Q4";
  return out;
}

std::string suggestion_yaml(const Suggestion& suggestion) {
  std::string limit;
  if (suggestion.parallel < suggestion.parallel_wanted) {
    limit = fmt::format("   # {} would want {:.0f} GB of memory", suggestion.parallel_wanted,
                        std::ceil(memory_of(suggestion, suggestion.parallel_wanted)));
  }
  return fmt::format(
      "llama_cpp:\n"
      "  model_path: /path/to/a.gguf   # {}, {}\n"
      "  n_ctx: {}\n"
      "  n_threads: {}\n"
      "  n_gpu_layers: {}\n"
      "  n_batch: {}\n"
      "  n_parallel: {}{}\n"
      "model:\n"
      "  quantization: {}\n"
      "performance:\n"
      "  model_pool_size: {}\n"
      "  embeddings_pool_size: {}\n"
      "memory:\n"
      "  max_model_size: {}\n"
      "embedding:\n"
      "  batch_size: {}\n"
      "server:\n"
      "  shards: {}\n",
      suggestion.model, suggestion.quantization, kContextTokens, suggestion.threads, suggestion.gpu_layers,
      suggestion.batch, suggestion.parallel, limit, suggestion.quantization, suggestion.instances,
      suggestion.embedding_instances, suggestion.max_model_size_mb, suggestion.embedding_batch, suggestion.workers);
}

}  // namespace tessera::llm
