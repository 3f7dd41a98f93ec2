#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace tessera::mock {

/// Repeatable random numbers of one purpose: the same seed and stream give the same numbers, whatever else is drawn
/// meanwhile (SplitMix64 of Steele, Lea and Flood, 2014, started at a mix of both). A value; not thread-safe.
class Draws {
 public:
  Draws(uint64_t seed, uint64_t stream);
  uint64_t next();
  /// Uniform in [0, 1).
  double unit();
  /// Normal with mean 0 and deviation 1 (Box and Muller).
  double normal();

 private:
  uint64_t state_;
};

/// How a number that a script asks for is spread: "200", "100..300" or "uniform(100,300)", "lognormal(200,0.5)" (median
/// and sigma) or "lognormal(p50=200,p99=900)". A trailing "ms" or "s" is understood, the unit is then milliseconds.
struct Distribution {
  enum class Kind : uint8_t { fixed, uniform, lognormal };
  Kind kind = Kind::fixed;
  double a = 0;  ///< value, lower bound or median
  double b = 0;  ///< upper bound or sigma

  /// Never negative, at most kMax.
  double sample(Draws& draws) const;
  [[nodiscard]] bool zero() const { return kind == Kind::fixed && a == 0; }

  static constexpr double kMax = 1e9;
  /// Error: invalid BAD_DIRECTIVE.
  static base::Result<Distribution> parse(std::string_view text);
};

/// A finite decimal number, all of `text`.
base::Result<double> parse_number(std::string_view text);

}  // namespace tessera::mock
