#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tessera::llm {

/// Whose wire format a provider speaks.
enum class WireFormat : uint8_t { openai, anthropic, gemini };

/// What one kind of provider does differently from the others: everything that code asks about a provider stands here,
/// so a new OpenAI-compatible one is a row in provider_kinds.cc. A path is empty where there is no such thing;
/// "{model}" in it is replaced by the model's name.
struct ProviderKind {
  std::string_view name;
  WireFormat format = WireFormat::openai;
  std::string_view base_url;  ///< empty: must be configured
  std::string_view auth_header = "Authorization";
  std::string_view auth_prefix = "Bearer ";
  std::string_view fixed_header = {};   ///< "Name: value", sent with every request
  std::string_view version_query = {};  ///< a parameter of every path: "api-version="
  std::string_view version = {};        ///< its value, where none is configured
  std::string_view chat = "/chat/completions";
  std::string_view chat_stream = {};  ///< empty: as chat
  std::string_view models = "/models";
  std::string_view embeddings = "/embeddings";
  std::string_view transcriptions = {};
  std::string_view rerank = {};
  std::string_view responses = {};
  bool stream_options = true;         ///< gives usage with streams when stream_options.include_usage asks for it
  bool max_completion_tokens = true;  ///< knows the name; else max_tokens stands for it
  bool cuts_silently = false;         ///< cuts what is too long for its model without a word
  bool developer_role = true;         ///< knows the role; else system stands for it
};

/// Every kind, "openai" first.
std::span<const ProviderKind> provider_kinds();
/// nullptr: there is none of that name.
const ProviderKind* find_provider_kind(std::string_view name);
const ProviderKind& openai_kind();

/// A path of a kind with its "{model}" percent-encoded in place and the kind's version appended: `version`, or the
/// kind's own when that is empty.
std::string provider_path(const ProviderKind& kind, std::string_view path, std::string_view model,
                          std::string_view version = {});

}  // namespace tessera::llm
