#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "llm/engines/child_host.h"

namespace tessera::llm {

/// The name that local models have in place of a provider's.
constexpr std::string_view kLocalProvider = "llama_cpp";

enum class EngineKind { chat, embedding, rerank, transcription };
std::string_view to_string(EngineKind kind);

/// One model and how its program runs it.
struct EngineSpec {
  EngineKind kind = EngineKind::chat;
  std::string name;        ///< of the model
  std::string program;     ///< llama-server or whisper-server: a path, or a name in PATH
  std::string model_path;  ///< GGUF, or ggml for Whisper
  int64_t context = 4096;  ///< tokens of one conversation
  int64_t slots = 1;       ///< conversations at once
  int64_t threads = 1;
  int64_t gpu_layers = 0;
  int64_t batch = 512;
  bool mmap = true;
  bool verbose = false;
  std::string language;                  ///< of speech; "auto" listens for it
  std::vector<std::string> devices;      ///< CUDA devices, shared out among the instances; empty: as the program likes
  std::vector<std::string> arguments;    ///< further ones for the program, last
  std::vector<std::string> environment;  ///< further "NAME=value"
};

/// Where and as what one instance listens.
struct EngineDoor {
  uint16_t port = 0;
  std::string key;  ///< that it asks of its callers (llama-server only)
};

/// The command that starts instance `instance` of `instances`. The key goes through the environment, where other users
/// of the machine cannot read it. Pure.
ChildCommand launch_command(const EngineSpec& spec, const EngineDoor& door, size_t instance, size_t instances);

/// A loopback port that nothing listens on. Another program could take it before ours does; then ours ends and is
/// started anew on another. Errors: unavailable NO_PORT.
base::Result<uint16_t> free_loopback_port();

}  // namespace tessera::llm
