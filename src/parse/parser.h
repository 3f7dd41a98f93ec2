#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "core/parser.h"

namespace tessera::parse {

/// What one document may cost. Exceeding a size is DOCUMENT_TOO_LARGE; exceeding the time is DOCUMENT_TIMEOUT.
struct ParseLimits {
  size_t input_bytes_max = 64UL << 20;          ///< the document as sent
  size_t text_bytes_max = 64UL << 20;           ///< the text made of it
  size_t archive_entry_bytes_max = 64UL << 20;  ///< one part of a DOCX, unpacked
  size_t archive_entries_max = 4096;            ///< parts of a DOCX
  size_t archive_ratio_max = 200;               ///< unpacked bytes per byte of the DOCX, for parts above 1 MiB
  std::chrono::milliseconds pdf_timeout{30000};
  size_t pdf_memory_max = 1UL << 30;         ///< address space of the extractor
  std::string pdftotext_path = "pdftotext";  ///< a path, or a name looked up in PATH
};

/// The parser of every format in docs/formats/documents.md. Holds no state besides the limits, so one serves all
/// threads. Never throws on input; memory is bounded by a small multiple of the limits, and no recursion depends on the
/// input.
std::unique_ptr<core::DocumentParser> create_parser(ParseLimits limits);

}  // namespace tessera::parse
