#include "mock/ask.h"
#include "wire/multipart.h"

namespace tessera::mock {

base::Result<Ask> read_form(std::string_view body, std::string_view content_type) {
  constexpr uint64_t kBytesPerToken = 3'200;  // a tenth of a second of 16-bit sound at 16 kHz
  TESSERA_TRY(const std::string boundary, wire::multipart_boundary(content_type));
  TESSERA_TRY(const auto parts, wire::parse_multipart(body, boundary));
  Ask ask;
  ask.dialect = Dialect::transcription;
  ask.include_usage = true;
  for (const wire::MultipartPart& part : parts) {
    if (ask.fields.size() < Ask::kFieldsMax) ask.fields.push_back(part.name.substr(0, 100));
    if (part.name == "model") ask.model = part.body.substr(0, 1024);
    if (part.name == "stream") ask.stream = part.body == "true" || part.body == "True" || part.body == "1";
    if (part.name == "response_format") ask.plain = part.body == "text" || part.body == "srt" || part.body == "vtt";
    if (part.name == "mock") ask.directives = parse_directives(part.body);
    if (part.name != "file" || !part.is_file) continue;
    ask.messages = 1;
    ask.prompt_bytes = 4 * (part.body.size() / kBytesPerToken);
  }
  if (ask.messages == 0)
    return base::fail(base::Code::invalid, "BAD_FIELD", "\"file\" must be a file of sound", "", "file");
  return ask;
}

}  // namespace tessera::mock
