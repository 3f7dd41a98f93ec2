#include "llm/routing/breaker.h"

#include <algorithm>

namespace tessera::llm {

bool Breaker::ready(base::SteadyTime now) const {
  const std::lock_guard lock(mutex_);
  return state_ == State::closed || (!probing_ && now >= open_until_);
}

Breaker::Pass Breaker::ask(base::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (state_ == State::closed) return {.granted = true, .probe = false, .era = era_};
  if (probing_ || now < open_until_) return {};
  probing_ = true;
  change(State::half_open);
  return {.granted = true, .probe = true, .era = era_};
}

void Breaker::succeeded(const Pass& pass) {
  const std::lock_guard lock(mutex_);
  if (!pass.granted || pass.era != era_) return;
  failures_ = 0;
  if (!pass.probe) return;
  probing_ = false;
  open_for_ = base::Millis(0);
  ++era_;
  change(State::closed);
}

void Breaker::failed(const Pass& pass, base::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (!pass.granted || pass.era != era_) return;
  if (!pass.probe && (options_.failures_max == 0 || ++failures_ < options_.failures_max)) return;
  probing_ = false;
  failures_ = 0;
  open_for_ = std::clamp(open_for_ * 2, options_.open_min, options_.open_max);
  open_until_ = now + open_for_;
  ++era_;
  change(State::open);
}

void Breaker::abandoned(const Pass& pass) {
  const std::lock_guard lock(mutex_);
  if (!pass.granted || !pass.probe || pass.era != era_) return;
  probing_ = false;  // the next caller probes
}

Breaker::State Breaker::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

base::Millis Breaker::retry_in(base::SteadyTime now) const {
  const std::lock_guard lock(mutex_);
  if (state_ == State::closed || now >= open_until_) return base::Millis(0);
  return std::chrono::ceil<base::Millis>(open_until_ - now);
}

void Breaker::change(State to) {
  if (state_ == to) return;
  state_ = to;
  if (on_change_) on_change_(to);
}

}  // namespace tessera::llm
