#include <boost/json.hpp>
#include <cstdlib>

#include "llm/providers/translation.h"

using namespace tessera;
using namespace tessera::llm;

namespace {

void expect_json(std::string_view text) {
  boost::system::error_code failed;
  (void)boost::json::parse(text, failed);
  if (failed && failed != boost::json::make_error_code(boost::json::error::too_deep)) std::abort();
}

void read(std::unique_ptr<AnswerReader> reader, std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (!reader->event(text.substr(0, end), out)) break;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  for (size_t at = out.find("data: "); at != std::string::npos; at = out.find("\n\ndata: ", at)) {
    at += out[at] == '\n' ? 8 : 6;
    expect_json(std::string_view(out).substr(at, out.find("\n\n", at) - at));
  }
}

}  // namespace

/// Whatever comes, what is written is JSON.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const core::RelayRequest request{.model = "m", .body = std::string(text), .stream = (size & 1U) != 0};
  if (const auto body = anthropic_request("p", "m", request)) expect_json(*body);
  if (const auto body = gemini_request("p", "m", request)) expect_json(*body);
  for (const auto make : {&anthropic_reader, &gemini_reader}) {
    core::RelayReport report;
    AnswerWriter writer(report, 0, true);
    read(make({"p", "", writer}), text);
    core::RelayReport other;
    AnswerWriter whole(other, 0, true);
    if (const auto answer = make({"p", "", whole})->whole(text)) expect_json(*answer);
  }
  return 0;
}
