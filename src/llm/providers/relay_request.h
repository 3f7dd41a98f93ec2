#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "llm/providers/provider_kinds.h"

namespace tessera::llm {

/// Which of OpenAI's routes a request and its answer are of: those with choices, or those without.
enum class RelayForm : uint8_t { chat, responses };

/// How a client's body is to reach a provider of OpenAI's dialect.
struct RelayTarget {
  std::string_view model;  ///< as the provider names it
  bool stream = false;
  const ProviderKind& kind;
  RelayForm form = RelayForm::chat;
};

/// The body for the provider: model and stream as the target says (wherever the body has them, however often), for
/// streams the wish for usage, and what the kind calls by another name. Every other member keeps its bytes. Errors:
/// invalid BAD_JSON.
base::Result<std::string> relay_request_body(std::string_view body, const RelayTarget& target);

}  // namespace tessera::llm
