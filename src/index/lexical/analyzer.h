#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace tessera::index {

/// Called with each term in order; the view lasts for the call.
using TermSink = std::function<void(std::string_view)>;

/// Cuts a text into the terms of the lexical index: the words of text/words.h, with their English stems if asked. Pure.
void analyze(std::string_view text, bool stemming, const TermSink& sink);

}  // namespace tessera::index
