#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parse/decode.h"
#include "parse/markup.h"
#include "parse/source.h"
#include "parse/text_builder.h"

namespace tessera::parse {
namespace {

using base::Code;
using base::fail;
using Kind = MarkupToken::Kind;

constexpr std::string_view kOleMagic = "\xD0\xCF\x11\xE0";
constexpr size_t kRatioFreeBytes = 1UL << 20;
constexpr size_t kStylesMax = 4096;
constexpr size_t kXmlDepthMax = 4096;
constexpr size_t kMetaBytesMax = 2048;

/// The parts of the package we read.
struct Parts {
  std::string document;
  std::string styles;
  std::string core;
};

struct ArchiveClose {
  void operator()(archive* a) const { archive_read_free(a); }
};
using Archive = std::unique_ptr<archive, ArchiveClose>;

base::Error damaged(std::string_view why, std::string detail = {}) {
  return unreadable(fmt::format("The DOCX file is damaged: {}. Save it again and send the new copy.", why),
                    std::move(detail));
}

std::string archive_message(archive* a) {
  const char* message = archive_error_string(a);
  return message == nullptr ? std::string() : std::string(message);
}

/// One part, unpacked. Sizes stated in the archive are not believed.
base::Result<std::string> unpack(archive* a, const Source& source) {
  const ParseLimits& limits = source.limits;
  const size_t by_ratio =
      std::max(kRatioFreeBytes, source.bytes.size() * std::max<size_t>(limits.archive_ratio_max, 1));
  const size_t bytes_max = std::min(limits.archive_entry_bytes_max, by_ratio);
  std::string out;
  std::array<char, 64UL << 10> buffer;  // NOLINT: filled by libarchive
  while (true) {
    const la_ssize_t got = archive_read_data(a, buffer.data(), buffer.size());
    if (got < 0) return std::unexpected(damaged("a part cannot be unpacked", archive_message(a)));
    if (got == 0) return out;
    if (static_cast<size_t>(got) > bytes_max - out.size()) {
      return fail(
          Code::too_large, "DOCUMENT_TOO_LARGE",
          fmt::format(
              "A part of the DOCX file unpacks to more than {} bytes, as an archive bomb does. Split the document.",
              bytes_max));
    }
    out.append(buffer.data(), static_cast<size_t>(got));
  }
}

std::string* part_for(std::string_view path, Parts& parts) {
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path == "word/styles.xml") return &parts.styles;
  if (path == "docProps/core.xml") return &parts.core;
  // Some writers number the main part.
  if (path.starts_with("word/document") && path.ends_with(".xml") &&
      path.find_first_not_of("0123456789", 13) == path.size() - 4) {
    return &parts.document;
  }
  return nullptr;
}

base::Result<Parts> read_parts(const Source& source) {
  const Archive a(archive_read_new());
  if (!a)
    return fail(Code::unavailable, "OUT_OF_MEMORY",
                "There is not enough memory to read the document now. Try again later.");
  archive_read_support_format_zip_seekable(a.get());
  if (archive_read_open_memory(a.get(), source.bytes.data(), source.bytes.size()) != ARCHIVE_OK) {
    return std::unexpected(damaged("it is not a ZIP archive", archive_message(a.get())));
  }
  Parts parts;
  for (size_t entries = 0;; ++entries) {
    if (entries > source.limits.archive_entries_max) {
      return fail(
          Code::too_large, "DOCUMENT_TOO_LARGE",
          fmt::format("The DOCX file has more than {} parts. Split the document.", source.limits.archive_entries_max));
    }
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(a.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
      return std::unexpected(damaged("its list of parts cannot be read", archive_message(a.get())));
    const char* path = archive_entry_pathname(entry);
    std::string* part = path == nullptr ? nullptr : part_for(path, parts);
    if (part == nullptr || !part->empty()) continue;
    if (archive_entry_is_data_encrypted(entry) != 0) {
      return fail(Code::unreadable, "ENCRYPTED_DOCUMENT",
                  "The DOCX file is protected by a password. Send a copy without one.");
    }
    TESSERA_TRY(*part, unpack(a.get(), source));
  }
  if (parts.document.empty()) return std::unexpected(damaged("it holds no 'word/document.xml'"));
  return parts;
}

/// "w:p" -> "p": prefixes are a matter of taste, the local names are not.
std::string_view local_name(std::string_view name) {
  return name.substr(name.find(':') + 1);
}

std::string_view value_attribute(std::string_view attributes) {
  for (const std::string_view name : {"w:val", "val"}) {
    if (const auto value = find_attribute(attributes, name)) return *value;
  }
  return {};
}

int to_number(std::string_view digits) {
  int number = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() ? number : -1;
}

/// "heading 2", "Heading2", "Title" -> a level; 0 for other styles.
int heading_level_of_name(std::string_view name) {
  std::string plain;
  for (const char c : name.substr(0, 64)) {
    if (c != ' ') plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  if (plain == "title") return 1;
  if (!plain.starts_with("heading")) return 0;
  const int level = to_number(std::string_view(plain).substr(7));
  return level >= 1 && level <= 9 ? std::min(level, 6) : 0;
}

/// Style id -> heading level, by the style's name, its outline level or the style it is based on.
class Styles {
 public:
  explicit Styles(std::string_view xml) {
    MarkupScanner scanner(xml, MarkupScanner::Dialect::xml);
    MarkupToken token;
    Style* style = nullptr;
    while (scanner.next(token)) {
      if (token.kind != Kind::open) continue;
      const std::string_view name = local_name(token.name);
      if (name == "style") {
        const auto id = find_attribute(token.attributes, "w:styleId");
        style = id && styles_.size() < kStylesMax ? &styles_[std::string(*id)] : nullptr;
      } else if (style == nullptr) {
        continue;
      } else if (name == "name") {
        style->level = std::max(style->level, heading_level_of_name(value_attribute(token.attributes)));
      } else if (name == "outlineLvl" && style->level == 0) {
        const int outline = to_number(value_attribute(token.attributes));
        if (outline >= 0 && outline <= 8) style->level = std::min(outline + 1, 6);
      } else if (name == "basedOn") {
        style->based_on = value_attribute(token.attributes);
      }
    }
  }

  [[nodiscard]] int heading_level(std::string_view id) const {
    std::string current(id);
    for (int steps = 0; steps < 10; ++steps) {  // styles may be based on each other in a circle
      const auto it = styles_.find(current);
      if (it == styles_.end()) break;
      if (it->second.level > 0) return it->second.level;
      current = it->second.based_on;
    }
    return heading_level_of_name(id);
  }

 private:
  struct Style {
    int level = 0;
    std::string based_on;
  };
  std::map<std::string, Style, std::less<>> styles_;
};

/// Turns word/document.xml into text.
class Body {
 public:
  Body(const Styles& styles, size_t text_bytes_max) : styles_(styles), builder_(text_bytes_max) {}

  base::Result<> read(std::string_view xml) {
    MarkupScanner scanner(xml, MarkupScanner::Dialect::xml);
    MarkupToken token;
    while (!builder_.overflowed() && scanner.next(token)) {
      if (token.kind == Kind::text) {
        if (in_text_ && fallback_ == 0) text(token);
      } else if (token.kind == Kind::open) {
        if (!token.self_closing) {
          if (open_.size() == kXmlDepthMax) return std::unexpected(damaged("its text is nested too deep"));
          open_.push_back(token.name);
        }
        open(local_name(token.name), token);
      } else {
        if (open_.empty() || open_.back() != token.name)
          return std::unexpected(damaged("its text is not well-formed XML"));
        open_.pop_back();
        close(local_name(token.name));
      }
    }
    if (!builder_.overflowed() && (scanner.truncated() || !open_.empty()))
      return std::unexpected(damaged("its text ends early"));
    return {};
  }

  TextBuilder& builder() { return builder_; }

 private:
  void text(const MarkupToken& token) {
    start_paragraph();
    scratch_.clear();
    if (token.literal) {
      scratch_ = token.text;
    } else {
      append_decoded(scratch_, token.text);
    }
    builder_.flow(scratch_);
  }

  void open(std::string_view name, const MarkupToken& token) {
    if (name == "Fallback") {  // the same content again, for old readers
      if (!token.self_closing) ++fallback_;
    } else if (name == "t") {
      in_text_ = !token.self_closing;
    } else if (name == "tab") {
      if (!in_properties_) builder_.flow(" ");
    } else if (name == "br" || name == "cr") {
      table_depth_ > 0 ? builder_.flow(" ") : builder_.line_break();
    } else if (name == "p") {
      level_ = 0;
      list_level_ = -1;
      started_ = false;
    } else if (name == "pPr") {
      in_properties_ = !token.self_closing;
    } else if (in_properties_) {
      property(name, token);
    } else if (name == "tbl") {
      if (!token.self_closing && ++table_depth_ == 1) builder_.open_block();
    } else if (name == "tr" && table_depth_ == 1) {
      builder_.line_break();
      cells_ = 0;
    } else if (name == "tc" && table_depth_ == 1) {
      if (cells_++ > 0) builder_.separator(" | ");
    }
  }

  void property(std::string_view name, const MarkupToken& token) {
    if (name == "pStyle") {
      level_ = styles_.heading_level(value_attribute(token.attributes));
    } else if (name == "outlineLvl") {
      const int outline = to_number(value_attribute(token.attributes));
      if (outline >= 0 && outline <= 8) level_ = std::min(outline + 1, 6);
    } else if (name == "numPr") {
      list_level_ = std::max(list_level_, 0);
    } else if (name == "ilvl") {
      list_level_ = std::clamp(to_number(value_attribute(token.attributes)), 0, 8);
    }
  }

  /// At the first text of a paragraph, when its properties are known.
  void start_paragraph() {
    if (started_) return;
    started_ = true;
    if (table_depth_ > 0) {
      builder_.flow(" ");
    } else if (level_ > 0) {
      builder_.open_heading(level_);
    } else if (list_level_ >= 0) {
      after_list_ ? builder_.line_break() : builder_.paragraph_break();
      builder_.prefix(std::string(static_cast<size_t>(list_level_) * 2, ' ') + "- ");
    } else {
      builder_.paragraph_break();
    }
    after_list_ = list_level_ >= 0 && level_ == 0;
  }

  void close(std::string_view name) {
    if (name == "Fallback") {
      if (fallback_ > 0) --fallback_;
    } else if (name == "t") {
      in_text_ = false;
    } else if (name == "pPr") {
      in_properties_ = false;
    } else if (name == "p") {
      builder_.close_heading();
      started_ = false;
    } else if (name == "tbl") {
      if (table_depth_ > 0 && --table_depth_ == 0) builder_.close_block();
    }
  }

  const Styles& styles_;
  TextBuilder builder_;
  std::vector<std::string_view> open_;  // names, to see that the XML is whole
  std::string scratch_;
  size_t fallback_ = 0;
  size_t table_depth_ = 0;
  size_t cells_ = 0;
  int level_ = 0;
  int list_level_ = -1;
  bool in_text_ = false;
  bool in_properties_ = false;
  bool started_ = false;
  bool after_list_ = false;
};

/// Title and author from docProps/core.xml.
void read_core(std::string_view xml, core::ParsedDocument& document) {
  MarkupScanner scanner(xml, MarkupScanner::Dialect::xml);
  MarkupToken token;
  std::string field;
  while (scanner.next(token)) {
    if (token.kind != Kind::text) {
      field = token.kind == Kind::open && !token.self_closing ? local_name(token.name) : std::string_view();
      continue;
    }
    std::string value;
    append_decoded(value, token.text);
    value = one_line(value, kMetaBytesMax);
    if (value.empty()) continue;
    if (field == "title") {
      document.title = value;
      document.metadata["title"] = std::move(value);
    } else if (field == "creator") {
      document.metadata["author"] = std::move(value);
    }
  }
}

}  // namespace

base::Result<core::ParsedDocument> parse_docx(const Source& source) {
  if (source.bytes.starts_with(kOleMagic)) {
    // A password turns a DOCX into a compound file with this stream, named in UTF-16.
    constexpr std::string_view kStream("E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0", 32);
    if (source.bytes.find(kStream) != std::string_view::npos) {
      return fail(Code::unreadable, "ENCRYPTED_DOCUMENT",
                  "The DOCX file is protected by a password. Send a copy without one.");
    }
    return std::unexpected(unreadable("The file is a document of an old Office version. Save it as DOCX or PDF."));
  }
  TESSERA_TRY(Parts parts, read_parts(source));
  const Styles styles(decode_text(parts.styles, {}));
  Body body(styles, source.limits.text_bytes_max);
  TESSERA_CHECK(body.read(decode_text(parts.document, {})));
  if (body.builder().overflowed()) return std::unexpected(text_too_large(source.limits.text_bytes_max));
  core::ParsedDocument document;
  document.text = body.builder().take_text();
  document.structure = body.builder().take_structure();
  read_core(decode_text(parts.core, {}), document);
  if (document.title.empty()) {
    const auto first = std::ranges::find(document.structure.headings, 1, &text::Heading::level);
    if (first != document.structure.headings.end()) document.title = first->title;
  }
  return document;
}

}  // namespace tessera::parse
