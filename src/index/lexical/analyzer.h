#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace tessera::index {

/// Longer terms are cut to this many bytes, in texts and queries alike.
inline constexpr size_t kTermBytesMax = 128;

/// Called with each term in order; the view lasts for the call.
using TermSink = std::function<void(std::string_view)>;

/// Cuts a text into the terms of the lexical index: Unicode words, folded, CJK in overlapping pairs, stemmed if asked.
/// Pure.
void analyze(std::string_view text, bool stemming, const TermSink& sink);

}  // namespace tessera::index
