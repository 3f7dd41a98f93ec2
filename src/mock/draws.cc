#include "mock/draws.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <string>

namespace tessera::mock {
namespace {

using base::Result;

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ULL;
constexpr double kNormalP99 = 2.3263478740408408;  ///< the 99th percentile of the normal distribution

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31U);
}

std::unexpected<base::Error> bad(std::string_view text) {
  return base::fail(base::Code::invalid, "BAD_DIRECTIVE",
                    "\"" + std::string(text.substr(0, 100)) +
                        "\" is no distribution; write 200, 100..300, uniform(100,300), lognormal(200,0.5) or "
                        "lognormal(p50=200,p99=900)");
}

/// "200", "200ms" or "0.2s".
Result<double> parse_amount(std::string_view text) {
  double unit = 1;
  if (text.ends_with("ms")) {
    text.remove_suffix(2);
  } else if (text.ends_with('s')) {
    text.remove_suffix(1);
    unit = 1000;
  }
  TESSERA_TRY(const double value, parse_number(text));
  if (value < 0 || value * unit > Distribution::kMax) return bad(text);
  return value * unit;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

Draws::Draws(uint64_t seed, uint64_t stream) : state_(mix(seed + kGolden) ^ mix(stream * kGolden + 1)) {}

uint64_t Draws::next() {
  state_ += kGolden;
  return mix(state_);
}

double Draws::unit() {
  return static_cast<double>(next() >> 11U) * 0x1.0p-53;
}

double Draws::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - unit()));
  return radius * std::cos(2 * std::numbers::pi * unit());
}

double Distribution::sample(Draws& draws) const {
  double value = a;
  if (kind == Kind::uniform) value = a + (b - a) * draws.unit();
  if (kind == Kind::lognormal) value = a * std::exp(b * draws.normal());
  return std::clamp(value, 0.0, kMax);
}

Result<double> parse_number(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || !std::isfinite(value)) {
    return base::fail(base::Code::invalid, "BAD_DIRECTIVE",
                      "\"" + std::string(text.substr(0, 100)) + "\" is no number");
  }
  return value;
}

Result<Distribution> Distribution::parse(std::string_view text) {
  const std::string_view whole = text;
  Distribution result;
  if (const size_t dots = text.find(".."); dots != std::string_view::npos && !text.ends_with(')')) {
    result.kind = Kind::uniform;
    TESSERA_TRY(result.a, parse_amount(text.substr(0, dots)));
    TESSERA_TRY(result.b, parse_amount(text.substr(dots + 2)));
    if (result.a > result.b) return bad(whole);
    return result;
  }
  if (!text.ends_with(')')) {
    const auto amount = parse_amount(text);
    if (!amount) return bad(whole);
    result.a = *amount;
    return result;
  }
  text.remove_suffix(1);
  const size_t open = text.find('(');
  const size_t comma = text.find(',');
  const std::string_view word = text.substr(0, open);
  if (word == "fixed" && comma == std::string_view::npos) {
    TESSERA_TRY(result.a, parse_amount(text.substr(open + 1)));
    return result;
  }
  if (open == std::string_view::npos || comma == std::string_view::npos || comma < open) return bad(whole);
  std::string_view first = text.substr(open + 1, comma - open - 1);
  std::string_view second = text.substr(comma + 1);
  while (second.starts_with(' ')) second.remove_prefix(1);
  if (word == "uniform") {
    result.kind = Kind::uniform;
    TESSERA_TRY(result.a, parse_amount(first));
    TESSERA_TRY(result.b, parse_amount(second));
    if (result.a > result.b) return bad(whole);
    return result;
  }
  if (word != "lognormal") return bad(whole);
  result.kind = Kind::lognormal;
  const bool percentiles = take(first, "p50=") && take(second, "p99=");
  TESSERA_TRY(result.a, parse_amount(first));
  TESSERA_TRY(result.b, parse_amount(second));
  if (percentiles) {
    if (result.a <= 0 || result.b < result.a) return bad(whole);
    result.b = std::log(result.b / result.a) / kNormalP99;
  }
  if (result.b > 10) return bad(whole);
  return result;
}

}  // namespace tessera::mock
