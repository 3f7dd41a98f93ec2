#include "llm/providers/provider_kinds.h"

#include <algorithm>
#include <array>

namespace tessera::llm {
namespace {

// What each row says was read in the provider's own reference (2025) or learned from its programs; see docs there:
// platform.openai.com/docs/api-reference, learn.microsoft.com/azure/ai-foundry/openai/reference, openrouter.ai/docs,
// docs.vllm.ai, github.com/ollama/ollama/docs/openai.md, lmstudio.ai/docs, github.com/ggml-org/llama.cpp/tools/server,
// console.groq.com/docs, docs.mistral.ai/api, api-docs.deepseek.com, docs.anthropic.com/en/api, ai.google.dev/api.
constexpr auto kKinds = std::to_array<ProviderKind>({
    {.name = "openai",
     .base_url = "https://api.openai.com/v1",
     .transcriptions = "/audio/transcriptions",
     .responses = "/responses"},
    // base_url: https://RESOURCE.openai.azure.com/openai; a deployment is what requests call the model.
    {.name = "azure",
     .base_url = "",
     .auth_header = "api-key",
     .auth_prefix = "",
     .version_query = "api-version=",
     .version = "2024-10-21",
     .chat = "/deployments/{model}/chat/completions",
     .embeddings = "/deployments/{model}/embeddings",
     .transcriptions = "/deployments/{model}/audio/transcriptions"},
    {.name = "openrouter", .base_url = "https://openrouter.ai/api/v1", .responses = "/responses"},
    {.name = "vllm",
     .base_url = "http://127.0.0.1:8000/v1",
     .transcriptions = "/audio/transcriptions",
     .rerank = "/rerank",
     .responses = "/responses"},
    {.name = "ollama",
     .base_url = "http://127.0.0.1:11434/v1",
     .max_completion_tokens = false,
     .cuts_silently = true,
     .developer_role = false},
    {.name = "lmstudio",
     .base_url = "http://127.0.0.1:1234/v1",
     .responses = "/responses",
     .max_completion_tokens = false,
     .developer_role = false},
    {.name = "llama-server", .base_url = "http://127.0.0.1:8080/v1", .rerank = "/rerank", .developer_role = false},
    {.name = "whisper-server",
     .base_url = "http://127.0.0.1:8080/v1",
     .chat = "",
     .models = "",
     .embeddings = "",
     .transcriptions = "/audio/transcriptions"},
    // Its usage comes beside the choices (x_groq) whether asked for or not.
    {.name = "groq",
     .base_url = "https://api.groq.com/openai/v1",
     .embeddings = "",
     .transcriptions = "/audio/transcriptions",
     .responses = "/responses",
     .developer_role = false},
    // Refuses fields it does not know; the last event of its streams always has the usage.
    {.name = "mistral",
     .base_url = "https://api.mistral.ai/v1",
     .transcriptions = "/audio/transcriptions",
     .stream_options = false,
     .max_completion_tokens = false,
     .developer_role = false},
    {.name = "deepseek",
     .base_url = "https://api.deepseek.com",
     .embeddings = "",
     .max_completion_tokens = false,
     .developer_role = false},
    {.name = "together",
     .base_url = "https://api.together.xyz/v1",
     .transcriptions = "/audio/transcriptions",
     .rerank = "/rerank",
     .max_completion_tokens = false,
     .developer_role = false},
    {.name = "fireworks",
     .base_url = "https://api.fireworks.ai/inference/v1",
     .rerank = "/rerank",
     .max_completion_tokens = false,
     .developer_role = false},
    {.name = "xai",
     .base_url = "https://api.x.ai/v1",
     .embeddings = "",
     .responses = "/responses",
     .developer_role = false},
    {.name = "anthropic",
     .format = WireFormat::anthropic,
     .base_url = "https://api.anthropic.com/v1",
     .auth_header = "x-api-key",
     .auth_prefix = "",
     .fixed_header = "anthropic-version: 2023-06-01",
     .chat = "/messages",
     .models = "/models?limit=1000",
     .embeddings = ""},
    {.name = "gemini",
     .format = WireFormat::gemini,
     .base_url = "https://generativelanguage.googleapis.com/v1beta",
     .auth_header = "x-goog-api-key",
     .auth_prefix = "",
     .chat = "/models/{model}:generateContent",
     .chat_stream = "/models/{model}:streamGenerateContent?alt=sse",
     .models = "/models?pageSize=1000",
     .embeddings = "/openai/embeddings"},
});

void append_encoded(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || c == ':';
    if (plain) {
      out += c;
    } else {
      out.append("%") += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
}

}  // namespace

std::span<const ProviderKind> provider_kinds() {
  return kKinds;
}

const ProviderKind* find_provider_kind(std::string_view name) {
  const auto* found = std::ranges::find(kKinds, name, &ProviderKind::name);
  return found == kKinds.end() ? nullptr : &*found;
}

const ProviderKind& openai_kind() {
  return kKinds.front();
}

std::string provider_path(const ProviderKind& kind, std::string_view path, std::string_view model,
                          std::string_view version) {
  constexpr std::string_view kModel = "{model}";
  std::string out;
  const size_t at = path.find(kModel);
  out = path.substr(0, at);
  if (at != std::string_view::npos) {
    append_encoded(out, model);
    out += path.substr(at + kModel.size());
  }
  if (!kind.version_query.empty()) {
    out += path.find('?') == std::string_view::npos ? '?' : '&';
    out += kind.version_query;
    append_encoded(out, version.empty() ? kind.version : version);
  }
  return out;
}

}  // namespace tessera::llm
