#include "core/context.h"

#include <algorithm>

namespace tessera::core {

void RequestTrace::add_stage(std::string_view stage, double ms) {
  const std::lock_guard lock(mutex_);
  const auto it = std::ranges::find(stages_, stage, [](const auto& s) { return std::string_view(s.first); });
  if (it != stages_.end()) {
    it->second += ms;
  } else {
    stages_.emplace_back(stage, ms);
  }
}

void RequestTrace::add_degraded(std::string_view part) {
  const std::lock_guard lock(mutex_);
  if (std::ranges::find(degraded_, part) == degraded_.end()) degraded_.emplace_back(part);
}

std::vector<std::pair<std::string, double>> RequestTrace::stages() const {
  const std::lock_guard lock(mutex_);
  return stages_;
}

std::vector<std::string> RequestTrace::degraded() const {
  const std::lock_guard lock(mutex_);
  return degraded_;
}

base::Result<> RequestContext::check(const base::Clock& clock) const {
  if (cancel.cancelled()) {
    return base::fail(base::Code::cancelled, "REQUEST_CANCELLED", "The request was cancelled.");
  }
  if (clock.now() >= deadline) {
    return base::fail(base::Code::deadline, "DEADLINE_EXCEEDED", "The request's time was over before it was done.");
  }
  return {};
}

StageTimer::StageTimer(const RequestContext& context, std::string_view stage)
    : trace_(context.trace), stage_(stage), start_(base::SystemClock().now()) {}

double StageTimer::stop() {
  if (elapsed_ms_ < 0) {
    elapsed_ms_ = std::chrono::duration<double, std::milli>(base::SystemClock().now() - start_).count();
    if (trace_ != nullptr) trace_->add_stage(stage_, elapsed_ms_);
  }
  return elapsed_ms_;
}

}  // namespace tessera::core
