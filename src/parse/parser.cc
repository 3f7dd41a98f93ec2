#include "parse/parser.h"

#include <algorithm>
#include <exception>

#include "parse/decode.h"
#include "parse/sniff.h"
#include "parse/source.h"
#include "parse/text_builder.h"

namespace tessera::parse {
namespace {

using base::Code;
using base::fail;

constexpr size_t kTitleBytesMax = 512;
constexpr std::string_view kSpaces = " \t\n\v\f\r";

base::Result<core::ParsedDocument> read(const Source& source) {
  switch (source.format) {
    case Format::markdown:
      return parse_markdown(source);
    case Format::html:
      return parse_html(source);
    case Format::pdf:
      return parse_pdf(source);
    case Format::docx:
      return parse_docx(source);
    case Format::plain:
      return parse_plain(source);
    case Format::csv:
    case Format::tsv:
      return parse_csv(source);
    case Format::json:
    case Format::json_lines:
      return parse_json(source);
  }
  return fail(Code::internal, "INTERNAL", "The document's format is not handled.");
}

bool is_text_format(Format format) {
  return format != Format::pdf && format != Format::docx;
}

class Parser final : public core::DocumentParser {
 public:
  explicit Parser(ParseLimits limits) : limits_(std::move(limits)) {}

  [[nodiscard]] base::Result<core::ParsedDocument> parse(const core::RawDocument& raw) const override {
    if (raw.bytes.size() > limits_.input_bytes_max) {
      return fail(Code::too_large, "DOCUMENT_TOO_LARGE",
                  fmt::format("The document has {} bytes; at most {} are read. Split it.", raw.bytes.size(),
                              limits_.input_bytes_max));
    }
    TESSERA_TRY(const Detected detected, detect_format(raw));
    if (is_text_format(detected.format) && !detected.charset.starts_with("utf-16") && looks_binary(raw.bytes)) {
      return fail(Code::invalid, "UNSUPPORTED_CONTENT_TYPE",
                  fmt::format("The content is binary, not {}. Send text, or a PDF or DOCX file with its content type.",
                              content_type_of(detected.format)),
                  "", "content_type");
    }
    const Source source{.format = detected.format,
                        .bytes = raw.bytes,
                        .charset = detected.charset,
                        .name = raw.name,
                        .limits = limits_};
    TESSERA_TRY(auto document, read(source));
    document.content_type = content_type_of(detected.format);
    return finish(std::move(document), raw);
  }

  [[nodiscard]] bool knows(std::string_view file_name) const override { return known_ending(file_name); }

 private:
  /// What holds for every format: the text is not empty, within its limit, without outer white space; a title is there.
  [[nodiscard]] base::Result<core::ParsedDocument> finish(core::ParsedDocument document,
                                                          const core::RawDocument& raw) const {
    const size_t last = document.text.find_last_not_of(kSpaces);
    if (last == std::string::npos) {
      return fail(Code::unreadable, "EMPTY_DOCUMENT",
                  "The document holds no text. If it is a scan, run text recognition (OCR) first.");
    }
    document.text.resize(last + 1);
    if (document.text.size() > limits_.text_bytes_max) return std::unexpected(text_too_large(limits_.text_bytes_max));
    document.title = one_line(document.title, kTitleBytesMax);
    if (document.title.empty()) document.title = one_line(decode_text(name_stem(raw.name), "utf-8"), kTitleBytesMax);
    if (document.title.empty()) document.title = "Untitled";
    return document;
  }

  ParseLimits limits_;
};

}  // namespace

base::Error unreadable(std::string message, std::string detail) {
  return base::make_error(Code::unreadable, "UNREADABLE_DOCUMENT", std::move(message), std::move(detail));
}

base::Error text_too_large(size_t bytes_max) {
  return base::make_error(Code::too_large, "DOCUMENT_TOO_LARGE",
                          fmt::format("The document's text has more than {} bytes. Split it.", bytes_max));
}

std::unique_ptr<core::DocumentParser> create_parser(ParseLimits limits) {
  return std::make_unique<Parser>(std::move(limits));
}

}  // namespace tessera::parse
