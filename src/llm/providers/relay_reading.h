#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "core/chat_model.h"
#include "text/json_skim.h"

namespace tessera::llm {

// Pieces of answers in OpenAI's dialect, read at a cursor without building them.

base::Error bad_response(std::string_view provider, std::string_view what);

/// The usage object at the cursor, or as a text, into the report; what is none is passed over.
void read_usage(text::JsonCursor& at, core::RelayReport& report);
void read_usage(std::string_view value, core::RelayReport& report);
/// Groq reports the usage of streams beside the choices.
void read_groq(std::string_view extra, core::RelayReport& report);

/// The prices that a service tier is charged by, from its JSON value.
core::PriceTier tier_of(std::string_view value);

/// Bytes of the texts of a message, delta or output, whatever they are nested in.
int64_t answer_bytes(text::JsonCursor& at);

struct ChoiceSeen {
  int64_t index = 0;
  int64_t bytes = 0;
  std::string_view finish;  ///< with quotes; empty: none
};
/// The choice at the cursor.
ChoiceSeen read_choice(text::JsonCursor& at);
void note_choice(const ChoiceSeen& seen, core::RelayReport& report);

}  // namespace tessera::llm
