#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/chat_model.h"
#include "core/documents.h"

namespace tessera::chat {

/// The role text for models that read text, when none is configured.
std::string_view default_system_prompt();

/// The numbered sources and the rules of citing them, as one text for a system message. Document text is data: its own
/// source tags and markers are made harmless, so that it can neither end its frame nor pass for a citation.
std::string sources_prompt(const std::vector<core::Passage>& passages);

/// `text` as it stands inside a source frame.
std::string quote_for_prompt(std::string_view text);

}  // namespace tessera::chat
