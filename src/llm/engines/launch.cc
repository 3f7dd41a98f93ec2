#include "llm/engines/launch.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <span>

namespace tessera::llm {
namespace {

void append(std::vector<std::string>& out, std::initializer_list<std::string> more) {
  out.insert(out.end(), more);
}

void add_llama(const EngineSpec& spec, std::vector<std::string>& out) {
  // A server shares its context out among its slots.
  const int64_t slots = std::max<int64_t>(1, spec.slots);
  append(out,
         {"--alias", spec.name, "--ctx-size", std::to_string(spec.context * slots), "--parallel", std::to_string(slots),
          "--threads", std::to_string(spec.threads), "--n-gpu-layers", std::to_string(spec.gpu_layers), "--no-webui"});
  if (!spec.mmap) append(out, {"--no-mmap"});
  if (spec.verbose) append(out, {"--verbose"});
  if (spec.kind == EngineKind::chat) {
    // The slots keep what conversations share; a second cache beside them would grow to 8 GiB.
    append(out, {"--batch-size", std::to_string(spec.batch), "--jinja", "--cache-ram", "0"});
    return;
  }
  // These read a text in one batch, so that must be as large as the longest text.
  const std::string batch = std::to_string(std::max(spec.batch, spec.context));
  append(out, {"--batch-size", batch, "--ubatch-size", batch,
               spec.kind == EngineKind::embedding ? "--embeddings" : "--reranking"});
}

}  // namespace

std::string_view to_string(EngineKind kind) {
  switch (kind) {
    case EngineKind::chat:
      return "chat";
    case EngineKind::embedding:
      return "embedding";
    case EngineKind::rerank:
      return "rerank";
    case EngineKind::transcription:
      return "transcription";
  }
  return "chat";
}

ChildCommand launch_command(const EngineSpec& spec, const EngineDoor& door, size_t instance, size_t instances) {
  ChildCommand command;
  command.arguments = {spec.program, "-m", spec.model_path, "--host", "127.0.0.1", "--port", std::to_string(door.port)};
  if (spec.kind == EngineKind::transcription) {
    append(command.arguments, {"--threads", std::to_string(spec.threads), "--inference-path",
                               "/v1/audio/transcriptions", "--language", spec.language.empty() ? "en" : spec.language});
    if (spec.gpu_layers == 0) append(command.arguments, {"--no-gpu"});
  } else {
    add_llama(spec, command.arguments);
  }
  command.arguments.insert(command.arguments.end(), spec.arguments.begin(), spec.arguments.end());

  command.environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"};
  if (!door.key.empty()) command.environment.push_back("LLAMA_API_KEY=" + door.key);
  if (!spec.devices.empty()) {
    std::span<const std::string> mine = spec.devices;
    if (instances > 1) mine = mine.subspan(instance % mine.size(), 1);
    command.environment.push_back(fmt::format("CUDA_VISIBLE_DEVICES={}", fmt::join(mine, ",")));
  }
  command.environment.insert(command.environment.end(), spec.environment.begin(), spec.environment.end());
  return command;
}

base::Result<uint16_t> free_loopback_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  const bool found = fd >= 0 && ::bind(fd, plain, size) == 0 && ::getsockname(fd, plain, &size) == 0;
  if (fd >= 0) ::close(fd);
  if (!found) return base::fail(base::Code::unavailable, "NO_PORT", "no loopback port is free for a local model");
  return ntohs(address.sin_port);
}

}  // namespace tessera::llm
