// Request bodies of any bytes: read or refused, never worse.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "mock/ask.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::mock;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const Dialect dialect :
       {Dialect::openai, Dialect::embeddings, Dialect::responses, Dialect::anthropic, Dialect::gemini}) {
    const auto ask = read_ask(dialect, body);
    if (!ask) continue;
    if (ask->fields.size() > Ask::kFieldsMax || ask->last_user.size() > Ask::kEchoMax) __builtin_trap();
    if (ask->choices < 1 || ask->choices > 128 || ask->prompt_bytes > size * 4) __builtin_trap();
  }
  return 0;
}
