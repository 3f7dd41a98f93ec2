#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tessera::llm {

/// What is known of a model that people run on their own machines.
struct LocalModelAdvice {
  std::string_view name;
  int64_t memory_gb = 0;
  std::string_view speed;     ///< "fast", "medium", "slow"
  std::string_view accuracy;  ///< "good", "better", "best"
  bool gpu = false;           ///< wants one
  std::string_view note;
  int64_t kv_bytes = 0;  ///< what one token of a conversation takes in its cache, in 16-bit floats
};

/// What one step of compression costs and gains, against 32-bit floats.
struct QuantizationAdvice {
  std::string_view name;
  double size_percent = 0;
  double speed = 0;
  std::string_view loss_percent;
};

std::span<const LocalModelAdvice> known_local_models();
std::span<const QuantizationAdvice> known_quantizations();

/// The machine, and what matters to whoever asks.
struct Wishes {
  int64_t cores = 1;
  int64_t memory_gb = 0;
  bool gpu = false;
  bool fast = false;      ///< answers within half a second
  bool accurate = false;  ///< the best answers
  int64_t users = 1;
};

struct Suggestion {
  std::string_view model;
  std::string_view why;
  std::string_view scenario;  ///< "single user", "team", "many users"
  std::string_view quantization;
  int64_t instances = 1;
  int64_t embedding_instances = 1;
  int64_t parallel = 1;  ///< conversations of one instance: 1, 8 or 32 by the scenario, or as many as memory holds
  int64_t parallel_wanted = 1;
  int64_t threads = 1;  ///< of one instance
  int64_t batch = 512;
  int64_t embedding_batch = 32;
  int64_t gpu_layers = 0;
  int64_t max_model_size_mb = 0;
  int64_t workers = 1;
};

/// The decision tree: an answer within half a second wants Mistral-7B; the best answers Llama 2-13B, where it fits;
/// less than 8 GB of memory GPT4All-J, which is also what to take when nothing is said. The scenario goes by the users.
/// Pure.
Suggestion suggest(const Wishes& wishes);

/// The settings that follow, as YAML to paste.
std::string suggestion_yaml(const Suggestion& suggestion);

}  // namespace tessera::llm
