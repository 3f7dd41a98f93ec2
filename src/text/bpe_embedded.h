#pragma once

#include <string_view>

namespace tessera::text {

/// The bytes of models/cl100k.bpe and models/o200k.bpe, linked into the binary (64-byte aligned, read-only, never
/// freed); pages are read when first touched and shared between processes.
std::string_view embedded_cl100k();
std::string_view embedded_o200k();

}  // namespace tessera::text
