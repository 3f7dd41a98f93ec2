#pragma once

#include <string_view>

namespace tessera::index {

/// The bytes of models/tessera-static-256.bin, linked into the binary (64-byte aligned, read-only, never freed). Pages
/// are read from the file when first touched and shared between processes; nothing is copied to the heap.
std::string_view embedded_static_model();

}  // namespace tessera::index
