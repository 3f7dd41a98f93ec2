#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "wire/sse.h"

/// Any bytes, cut anywhere, give the same events; and events that are written read back.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::wire;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  SseParser whole(4096);
  std::vector<SseEvent> events;
  const bool fits = whole.feed(bytes, events).has_value();
  SseParser cut(4096);
  std::vector<SseEvent> others;
  bool others_fit = true;
  for (const char c : bytes) others_fit = cut.feed({&c, 1}, others).has_value() && others_fit;
  if (fits != others_fit || events != others) std::abort();
  std::string written;
  for (const auto& event : events) append_sse(written, event.id, event.event, event.data);
  SseParser again(1 << 20);
  std::vector<SseEvent> read;
  if (!again.feed(written, read) || read.size() != events.size()) std::abort();
  for (size_t i = 0; i < read.size(); ++i) {
    if (read[i].data != events[i].data || read[i].event != events[i].event) std::abort();
  }
  return 0;
}
