#pragma once

#include <cmath>
#include <compare>
#include <cstdint>
#include <string>

namespace tessera::core {

/// An amount of money in millionths of a micro-dollar: prices per token are whole numbers of it (1 USD per million
/// tokens is 1'000'000 of it per token), so sums are exact in any order. Up to nine million dollars either way.
struct Money {
  int64_t pico_usd = 0;

  auto operator<=>(const Money&) const = default;
  Money& operator+=(Money other) {
    pico_usd += other.pico_usd;
    return *this;
  }
  Money& operator-=(Money other) {
    pico_usd -= other.pico_usd;
    return *this;
  }
  friend Money operator+(Money a, Money b) { return a += b; }
  friend Money operator-(Money a, Money b) { return a -= b; }

  [[nodiscard]] double usd() const { return static_cast<double>(pico_usd) * 1e-12; }
  /// Rounded half up, away from zero.
  [[nodiscard]] int64_t micro_usd() const {
    return pico_usd >= 0 ? (pico_usd + 500'000) / 1'000'000 : -((-pico_usd + 500'000) / 1'000'000);
  }
};

/// All digits that are not zeros at the end, as a JSON number: "0.0000125", "3", "-0.5".
std::string usd_text(Money money);

/// The nearest amount; exact for amounts that money.usd() gave, up to 9,000 USD. What is no amount is 0.
inline Money money_from_usd(double usd) {
  if (!(usd > -9e6 && usd < 9e6)) return {};
  return Money{std::llround(usd * 1e12)};
}

/// Which of a model's prices a call is charged by, as its answer says.
enum class PriceTier : uint8_t {
  standard,
  batch,    ///< also the service tier "flex", which costs the same
  priority  ///< the service tier of that name
};

/// What a model costs, per token; 0 where nothing is known or nothing is asked.
struct Price {
  Money prompt;
  Money cached_prompt;  ///< of prompt tokens that the provider had in its cache
  Money completion;
  Money cache_write = {};       ///< of prompt tokens that went into its cache for some minutes; 0: as prompt
  Money cache_write_long = {};  ///< of those that went there for an hour; 0: as cache_write
  auto operator<=>(const Price&) const = default;
};

}  // namespace tessera::core
