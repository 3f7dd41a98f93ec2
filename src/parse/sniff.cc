#include "parse/sniff.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace tessera::parse {
namespace {

using base::Code;

struct TypeName {
  std::string_view name;
  Format format;
};

constexpr std::string_view kDocxType = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

// The first name of each format is the canonical one.
constexpr std::array kTypes = {
    TypeName{"text/markdown", Format::markdown},
    TypeName{"text/x-markdown", Format::markdown},
    TypeName{"text/html", Format::html},
    TypeName{"application/xhtml+xml", Format::html},
    TypeName{"application/pdf", Format::pdf},
    TypeName{"application/x-pdf", Format::pdf},
    TypeName{kDocxType, Format::docx},
    TypeName{"text/plain", Format::plain},
    TypeName{"text/csv", Format::csv},
    TypeName{"application/csv", Format::csv},
    TypeName{"text/tab-separated-values", Format::tsv},
    TypeName{"application/json", Format::json},
    TypeName{"text/json", Format::json},
    TypeName{"application/x-ndjson", Format::json_lines},
    TypeName{"application/ndjson", Format::json_lines},
    TypeName{"application/jsonl", Format::json_lines},
    TypeName{"application/x-jsonlines", Format::json_lines},
};

constexpr std::array kEndings = {
    TypeName{".md", Format::markdown},       TypeName{".markdown", Format::markdown},
    TypeName{".mdown", Format::markdown},    TypeName{".mkd", Format::markdown},
    TypeName{".html", Format::html},         TypeName{".htm", Format::html},
    TypeName{".xhtml", Format::html},        TypeName{".pdf", Format::pdf},
    TypeName{".docx", Format::docx},         TypeName{".txt", Format::plain},
    TypeName{".text", Format::plain},        TypeName{".log", Format::plain},
    TypeName{".rst", Format::plain},         TypeName{".org", Format::plain},
    TypeName{".adoc", Format::plain},        TypeName{".csv", Format::csv},
    TypeName{".tsv", Format::tsv},           TypeName{".json", Format::json},
    TypeName{".ndjson", Format::json_lines}, TypeName{".jsonl", Format::json_lines},
};

struct Signature {
  std::string_view bytes;
  std::string_view what;
};

constexpr std::array kForeign = {
    Signature{"\x89PNG", "a PNG image"},
    Signature{"\xFF\xD8\xFF", "a JPEG image"},
    Signature{"GIF8", "a GIF image"},
    Signature{"\x7F"
              "ELF",
              "a program"},
    Signature{"\x1F\x8B", "a gzip file"},
    Signature{"7z\xBC\xAF", "a 7-Zip archive"},
    Signature{"SQLite format 3", "a database"},
    Signature{"Rar!", "a RAR archive"},
    Signature{"{\\rtf", "an RTF document"},
    Signature{"OggS", "an audio file"},
    Signature{"ID3", "an audio file"},
    Signature{"BZh9", "a bzip2 file"},
};

constexpr std::string_view kOleMagic = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::string lowered(std::string_view s) {
  std::string out(s);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::string charset_of(std::string_view parameters) {
  const std::string all = lowered(parameters);
  const size_t at = all.find("charset=");
  if (at == std::string::npos) return {};
  std::string_view value = trim(std::string_view(all).substr(at + 8));
  if (value.starts_with('"')) {
    value.remove_prefix(1);
    return std::string(value.substr(0, value.find('"')));
  }
  return std::string(value.substr(0, value.find_first_of("; \t")));
}

std::optional<Format> find_format(std::span<const TypeName> table, std::string_view name) {
  const auto it = std::ranges::find(table, name, &TypeName::name);
  if (it == table.end()) return std::nullopt;
  return it->format;
}

/// The name without directories, query and fragment.
std::string_view last_segment(std::string_view name) {
  const bool url = name.find("://") != std::string_view::npos;
  if (url) name = name.substr(0, name.find_first_of("?#"));
  if (url) {
    name.remove_prefix(name.find("://") + 3);
    if (name.find('/') == std::string_view::npos) return {};  // a host is no file name
  }
  return name.substr(name.find_last_of("/\\") + 1);  // npos + 1 is 0
}

std::string_view ending_of(std::string_view segment) {
  const size_t dot = segment.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? std::string_view() : segment.substr(dot);
}

std::optional<Format> format_of_ending(std::string_view name) {
  return find_format(kEndings, lowered(ending_of(last_segment(name))));
}

base::Error unsupported(std::string_view what) {
  return base::make_error(
      Code::invalid, "UNSUPPORTED_CONTENT_TYPE",
      fmt::format("{} cannot be read. Supported: Markdown (text/markdown), HTML (text/html), PDF (application/pdf), "
                  "DOCX ({}), plain text (text/plain), CSV (text/csv, text/tab-separated-values), JSON "
                  "(application/json, application/x-ndjson).",
                  what, kDocxType),
      {}, "content_type");
}

/// A ZIP archive names its members in clear text; a DOCX has word/document.xml.
bool zip_holds_docx(std::string_view bytes) {
  return bytes.find("word/document") != std::string_view::npos;
}

base::Result<std::optional<Format>> format_of_bytes(std::string_view bytes) {
  if (bytes.substr(0, 1024).find("%PDF-") != std::string_view::npos) return Format::pdf;
  if (bytes.starts_with("PK\x03\x04")) {
    if (zip_holds_docx(bytes)) return Format::docx;
    return std::unexpected(unsupported("A ZIP archive that is not a DOCX document"));
  }
  if (bytes.starts_with(kOleMagic))
    return std::unexpected(unsupported("A document of an old Office version (or an encrypted one)"));
  for (const Signature& s : kForeign) {
    if (bytes.starts_with(s.bytes))
      return std::unexpected(unsupported(fmt::format("The file looks like {} and", s.what)));
  }
  size_t start = bytes.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  start = bytes.find_first_not_of(" \t\r\n", start);
  const std::string head = lowered(start == std::string_view::npos ? std::string_view() : bytes.substr(start, 16));
  if (head.starts_with("<!doctype html") || head.starts_with("<html")) return Format::html;
  return std::nullopt;
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

base::Result<Detected> detect_format(const core::RawDocument& document) {
  const std::string_view full = document.content_type;
  const size_t semicolon = std::min(full.find(';'), full.size());
  const std::string type = lowered(trim(full.substr(0, semicolon)));
  Detected detected{.format = Format::plain, .charset = charset_of(full.substr(semicolon))};
  if (!type.empty() && type != "application/octet-stream") {
    const auto known = find_format(kTypes, type);
    if (!known) {
      const bool printable =
          type.size() <= 100 && std::ranges::all_of(type, [](char c) { return c > ' ' && c < 0x7F; });
      return std::unexpected(unsupported(printable ? fmt::format("Content type '{}'", type) : "This content type"));
    }
    detected.format = *known;
    return detected;
  }
  TESSERA_TRY(const auto by_bytes, format_of_bytes(document.bytes));
  const auto by_ending = format_of_ending(document.name);
  // An HTML page inside a Markdown file is Markdown; a signature that no text can have outranks the ending.
  if (by_bytes && (*by_bytes != Format::html || !by_ending)) {
    detected.format = *by_bytes;
  } else if (by_ending) {
    detected.format = *by_ending;
  }
  return detected;
}

std::string_view content_type_of(Format format) {
  return std::ranges::find(kTypes, format, &TypeName::format)->name;
}

bool known_ending(std::string_view file_name) {
  return format_of_ending(file_name).has_value();
}

std::string name_stem(std::string_view name) {
  const bool url = name.find("://") != std::string_view::npos;
  std::string_view segment = last_segment(name);
  segment.remove_suffix(ending_of(segment).size());
  if (!url) return std::string(segment);
  std::string out;
  for (size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] == '%' && i + 2 < segment.size() && hex(segment[i + 1]) >= 0 && hex(segment[i + 2]) >= 0) {
      out += static_cast<char>(hex(segment[i + 1]) * 16 + hex(segment[i + 2]));
      i += 2;
    } else {
      out += segment[i];
    }
  }
  return out;
}

}  // namespace tessera::parse
