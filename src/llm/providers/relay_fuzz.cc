#include <cstdlib>

#include "llm/providers/relay_answer.h"
#include "llm/providers/relay_request.h"

using namespace tessera;
using namespace tessera::llm;

namespace {

std::string pass(std::string_view bytes, size_t cut, RelayForm form, core::RelayReport& report) {
  RelayStream stream({"p", "", true, form}, report);
  std::string out(stream.feed(std::string(bytes.substr(0, cut))));
  if (!stream.error() && !stream.done()) out += stream.feed(std::string(bytes.substr(cut)));
  if (!stream.error() && !stream.done()) out += stream.finish();
  return out;
}

}  // namespace

/// A request's body that is taken stays an object with our model; a stream gives the same events however it is cut.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* kind : {"openai", "mistral"}) {
    const RelayTarget target{"m", (size & 1U) != 0, *find_provider_kind(kind)};
    const auto body = relay_request_body(text, target);
    if (body && relay_request_body(*body, target).value_or("") != *body) std::abort();
  }
  core::RelayReport whole;
  (void)read_relayed_answer({"p", "", true}, text, whole);
  (void)read_relayed_object({"p", "", true}, text, whole);
  (void)relayed_error("p", text, "m");
  for (const RelayForm form : {RelayForm::chat, RelayForm::responses}) {
    core::RelayReport one;
    core::RelayReport two;
    const std::string first = pass(text, size, form, one);
    if (first != pass(text, size / 2, form, two)) std::abort();
    if (one.answer_bytes != two.answer_bytes || one.finish_reason != two.finish_reason) std::abort();
    if (!first.empty() && !first.ends_with("\n\n") && !first.ends_with("\n\r\n")) std::abort();
  }
  return 0;
}
