#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "wire/http_head.h"

/// A request head is found at the same place however it is cut, its views stay inside it, and a chunked body never
/// exceeds its bound.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::wire;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  HeadScanner whole;
  const auto state = whole.scan(bytes);
  HeadScanner cut;
  auto cut_state = HeadScanner::State::more;
  for (size_t i = 1; i <= size && cut_state == HeadScanner::State::more; ++i) cut_state = cut.scan(bytes.substr(0, i));
  if (state != cut_state || (state == HeadScanner::State::done && whole.size() != cut.size())) std::abort();
  if (state == HeadScanner::State::done) {
    Request request;
    request.head_bytes = bytes.substr(0, whole.size());
    BodyFraming framing;
    if (!parse_head(request, framing, 20)) {
      const char* begin = request.head_bytes.data();
      const char* end = begin + request.head_bytes.size();
      for (const auto& header : request.headers) {
        if (header.name.data() < begin || header.value.data() + header.value.size() > end) std::abort();
      }
      if (request.path.find('\0') != std::string::npos) std::abort();
      (void)request.query_fields();
    }
  }
  ChunkDecoder decoder(64);
  std::string out;
  std::string_view rest = bytes;
  (void)decoder.feed(rest, out);
  if (out.size() > 64) std::abort();
  return 0;
}
