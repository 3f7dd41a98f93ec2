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
  remarkable_.store(true, std::memory_order_release);
}

void RequestTrace::add_passed_budget(std::string_view budget_id) {
  const std::lock_guard lock(mutex_);
  if (std::ranges::find(passed_budgets_, budget_id) == passed_budgets_.end()) passed_budgets_.emplace_back(budget_id);
  remarkable_.store(true, std::memory_order_release);
}

std::vector<std::pair<std::string, double>> RequestTrace::stages() const {
  const std::lock_guard lock(mutex_);
  return stages_;
}

std::vector<std::string> RequestTrace::degraded() const {
  const std::lock_guard lock(mutex_);
  return degraded_;
}

std::vector<std::string> RequestTrace::passed_budgets() const {
  const std::lock_guard lock(mutex_);
  return passed_budgets_;
}

bool RequestContext::may_use_one_of(const std::vector<std::string>& names) const {
  return only_models == nullptr || std::ranges::any_of(names, [this](const std::string& name) {
           return std::ranges::find(*only_models, name) != only_models->end();
         });
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
