#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tessera::config {

/// How many letters must be added, dropped, changed or swapped with their neighbour to turn one word into the other
/// (optimal string alignment). Case counts. O(a * b).
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate closest to `word`, or empty when none is close enough to be what was meant.
std::string_view nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace tessera::config
