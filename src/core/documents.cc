#include "core/documents.h"

#include <fmt/core.h>

namespace tessera::core {

std::string chunk_id(std::string_view document_id, int64_t ordinal) {
  return fmt::format("{}#{}", document_id, ordinal);
}

}  // namespace tessera::core
