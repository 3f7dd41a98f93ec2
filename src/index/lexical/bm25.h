#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tessera::index {

/// BM25 with k1 = 1.2, b = 0.75 and idf = log(1 + (N - n + 0.5) / (n + 0.5)); N and the average length count live rows,
/// n the live rows with the term. A row's score is the sum, over the query's terms (a repeated one counts each time),
/// of idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / average length)).
struct Bm25 {
  static constexpr double kK1 = 1.2;
  static constexpr double kB = 0.75;
  /// tf / (tf + norm), norm worked out for an average length.
  static float impact(uint32_t tf, uint32_t length, float average) {
    const auto frequency = static_cast<float>(tf);
    return frequency / (frequency + static_cast<float>(kK1 * (1 - kB)) +
                        static_cast<float>(kK1 * kB) * static_cast<float>(length) / average);
  }
  static double idf(double rows, double rows_with_term) {
    return std::log(1.0 + (rows - rows_with_term + 0.5) / (rows_with_term + 0.5));
  }
};

/// A query keeps at most this many distinct terms: the rarest.
inline constexpr size_t kQueryTermsMax = 1024;
/// Bytes of a query that are looked at.
inline constexpr size_t kQueryBytesMax = size_t{1} << 20;

/// Whether a search may pass over what cannot be among the best; the hits are the same bits either way.
enum class Pruning { on, off };

}  // namespace tessera::index
