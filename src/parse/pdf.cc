#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "parse/child_process.h"
#include "parse/decode.h"
#include "parse/markup.h"
#include "parse/source.h"
#include "parse/text_builder.h"

namespace tessera::parse {
namespace {

using base::Code;
using base::fail;

constexpr size_t kHeadBytes = 1024;          // where readers look for "%PDF-"
constexpr size_t kTailBytes = 4096;          // and, generously, for "%%EOF"
constexpr size_t kHtmlHeadMax = 64UL << 10;  // what -htmlmeta writes around the text
constexpr size_t kMetaBytesMax = 2048;

base::Result<> check_whole(std::string_view bytes) {
  if (bytes.substr(0, kHeadBytes).find("%PDF-") == std::string_view::npos) {
    return std::unexpected(
        unreadable("The file is not a PDF: it does not start with '%PDF-'. Send its right content type."));
  }
  const std::string_view tail = bytes.substr(bytes.size() - std::min(bytes.size(), kTailBytes));
  if (tail.find("%%EOF") == std::string_view::npos) {
    return std::unexpected(unreadable("The PDF is cut off: its end is missing. Send the whole file."));
  }
  return {};
}

base::Result<std::string> extract(const Source& source) {
  const ParseLimits& limits = source.limits;
  const ChildLimits child{.wall_time = limits.pdf_timeout,
                          .memory_bytes = limits.pdf_memory_max,
                          .output_bytes = limits.text_bytes_max + kHtmlHeadMax};
  // Reading order rather than page layout, so that columns do not interleave; -htmlmeta puts title and author in front.
  auto run = run_confined({limits.pdftotext_path, "-enc", "UTF-8", "-eol", "unix", "-htmlmeta", "-", "-"}, source.bytes,
                          child);
  if (!run) {
    if (run.error().name != "PROGRAM_MISSING") return std::unexpected(std::move(run).error());
    return fail(
        Code::unavailable, "PDF_READER_MISSING",
        "PDF files are read by 'pdftotext', which is not installed on the server. Install the package poppler-utils.",
        limits.pdftotext_path);
  }
  switch (run->end) {
    case ChildResult::End::timed_out:
      return fail(Code::unreadable, "DOCUMENT_TIMEOUT",
                  fmt::format("Reading the PDF took longer than {} ms and was stopped. Simplify or split it.",
                              limits.pdf_timeout.count()));
    case ChildResult::End::output_full:
      return std::unexpected(text_too_large(limits.text_bytes_max));
    case ChildResult::End::killed_by_signal:
      if (run->status == SIGXCPU || run->status == SIGKILL) {
        return fail(Code::unreadable, "DOCUMENT_TIMEOUT",
                    "Reading the PDF took too much processor time and was stopped. Simplify or split it.");
      }
      return std::unexpected(unreadable("The PDF could not be read: the reader failed on it or needed too much memory.",
                                        fmt::format("pdftotext ended by signal {}", run->status)));
    case ChildResult::End::exited:
      break;
  }
  constexpr int kPermissionExit = 3;
  if (run->status == kPermissionExit || run->diagnostics.find("Incorrect password") != std::string::npos) {
    return fail(Code::unreadable, "ENCRYPTED_DOCUMENT", "The PDF is protected by a password. Send a copy without one.");
  }
  if (run->status != 0) {
    return std::unexpected(
        unreadable("The PDF is damaged and could not be read.", fmt::format("pdftotext exit status {}", run->status)));
  }
  return std::move(run->output);
}

std::string decoded_between(std::string_view text, std::string_view open, std::string_view close) {
  const size_t start = text.find(open);
  if (start == std::string_view::npos) return {};
  const size_t from = start + open.size();
  const size_t end = text.find(close, from);
  if (end == std::string_view::npos) return {};
  std::string out;
  append_decoded(out, text.substr(from, end - from));
  return one_line(out, kMetaBytesMax);
}

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_letter(char c) {
  return is_lower(static_cast<char>(c | 0x20));
}

/// Joins words hyphenated over a line end, and turns page breaks into empty lines. Counts pages.
std::string tidy_pages(std::string_view raw, int64_t& pages) {
  std::string out;
  out.reserve(raw.size());
  int newlines = 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    const char c = raw[i];
    if (c == '\f') ++pages;
    if (c == '\f' || c == '\n') {
      const int wanted = c == '\f' ? 2 : std::min(newlines + 1, 2);
      for (; newlines < wanted && !out.empty(); ++newlines) out += '\n';
      continue;
    }
    if (newlines == 1 && is_lower(c) && out.size() > 2 && out[out.size() - 2] == '-' &&
        is_letter(out[out.size() - 3])) {
      out.resize(out.size() - 2);
    }
    newlines = 0;
    out += c;
  }
  return out;
}

}  // namespace

base::Result<core::ParsedDocument> parse_pdf(const Source& source) {
  TESSERA_CHECK(check_whole(source.bytes));
  TESSERA_TRY(const std::string raw, extract(source));
  const std::string output = decode_text(raw, "utf-8");
  core::ParsedDocument document;
  // The head is escaped, the text is not: it lies between the first "<pre>" and the last "</pre>".
  constexpr std::string_view kOpen = "<pre>\n";
  const size_t open = output.find(kOpen);
  const size_t close = output.rfind("</pre>");
  if (open == std::string::npos || close == std::string::npos || close < open + kOpen.size()) {
    return std::unexpected(unreadable("The PDF is damaged and could not be read.", "pdftotext wrote no text element"));
  }
  const std::string_view head = std::string_view(output).substr(0, open);
  document.title = decoded_between(head, "<title>", "</title>");
  std::string author = decoded_between(head, "<meta name=\"Author\" content=\"", "\"");
  int64_t pages = 0;
  document.text = tidy_pages(std::string_view(output).substr(open + kOpen.size(), close - open - kOpen.size()), pages);
  document.metadata["pages"] = pages;
  if (!document.title.empty()) document.metadata["title"] = document.title;
  if (!author.empty()) document.metadata["author"] = std::move(author);
  return document;
}

}  // namespace tessera::parse
