#include "account/limits.h"

#include <fmt/format.h>

#include <algorithm>

namespace tessera::account {
namespace {

std::unexpected<base::Error> limited(const char* name, int64_t limit, const char* what, base::Millis wait) {
  base::Error error = base::make_error(
      base::Code::exhausted, name,
      fmt::format("This key may use {} {} a minute. Try again in {} s, or give the key a higher limit.", limit, what,
                  (wait.count() + 999) / 1000));
  error.retry_after = wait;
  return std::unexpected(std::move(error));
}

std::optional<RateWindow> window(int64_t limit) {
  return limit > 0 ? std::optional(RateWindow(limit)) : std::nullopt;
}

std::optional<LimitReading> reading(std::optional<RateWindow>& window, base::SteadyTime now) {
  if (!window) return std::nullopt;
  return LimitReading{.limit = window->limit(), .remaining = window->remaining(now), .reset = window->reset(now)};
}

}  // namespace

KeyMeter::KeyMeter(int64_t requests, int64_t tokens) : requests_(window(requests)), tokens_(window(tokens)) {}

base::Result<> KeyMeter::admit_request(base::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (tokens_ && tokens_->remaining(now) == 0) {
    return limited("TOKENS_LIMITED", tokens_->limit(), "tokens", tokens_->wait(1, now));
  }
  if (requests_ && !requests_->take(1, now)) {
    return limited("RATE_LIMITED", requests_->limit(), "requests", requests_->wait(1, now));
  }
  return {};
}

base::Result<TokenHold> KeyMeter::hold_tokens(int64_t estimate, base::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (!tokens_) return TokenHold{};
  const int64_t tokens = std::clamp<int64_t>(estimate, 0, tokens_->limit());
  const auto mark = tokens_->take(tokens, now);
  if (!mark) return limited("TOKENS_LIMITED", tokens_->limit(), "tokens", tokens_->wait(tokens, now));
  return TokenHold{.mark = *mark, .tokens = tokens};
}

void KeyMeter::settle_tokens(const TokenHold& hold, int64_t used, base::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (tokens_) tokens_->correct(hold.mark, hold.tokens, std::max<int64_t>(used, 0), now);
}

std::optional<LimitReading> KeyMeter::requests(base::SteadyTime now) const {
  const std::lock_guard lock(mutex_);
  return reading(requests_, now);
}

std::optional<LimitReading> KeyMeter::tokens(base::SteadyTime now) const {
  const std::lock_guard lock(mutex_);
  return reading(tokens_, now);
}

}  // namespace tessera::account
