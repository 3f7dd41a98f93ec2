#include "core/money.h"

#include <fmt/core.h>

namespace tessera::core {

std::string usd_text(Money money) {
  constexpr uint64_t kDollar = 1'000'000'000'000;
  const bool negative = money.pico_usd < 0;
  // The magnitude of the least number does not fit its own type.
  const uint64_t size = negative ? ~static_cast<uint64_t>(money.pico_usd) + 1 : static_cast<uint64_t>(money.pico_usd);
  std::string text = fmt::format("{}{}.{:012}", negative ? "-" : "", size / kDollar, size % kDollar);
  text.resize(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

}  // namespace tessera::core
