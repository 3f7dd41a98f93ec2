#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/cancel.h"
#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"
#include "core/tenant.h"

namespace tessera::core {

using async::Task;

/// Where the time of one request went, which optional stages were left out and what its caller is to be warned of.
/// Filled by any thread that works for the request; rendered as `Server-Timing`, `timings`, `degraded` and headers.
/// Thread-safe.
class RequestTrace {
 public:
  /// Adds to the stage's total; stages keep the order of their first report. Names are constants such as "retrieve".
  void add_stage(std::string_view stage, double ms);
  /// Records that an optional part was skipped or failed, e.g. "dense_search".
  void add_degraded(std::string_view part);
  /// Records that the budget of this id, which only warns, is passed.
  void add_passed_budget(std::string_view budget_id);
  [[nodiscard]] std::vector<std::pair<std::string, double>> stages() const;
  [[nodiscard]] std::vector<std::string> degraded() const;
  [[nodiscard]] std::vector<std::string> passed_budgets() const;
  /// Whether degraded() or passed_budgets() has something; costs no lock.
  [[nodiscard]] bool remarkable() const { return remarkable_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, double>> stages_;  // guarded by mutex_
  std::vector<std::string> degraded_;                   // guarded by mutex_
  std::vector<std::string> passed_budgets_;             // guarded by mutex_
  std::atomic<bool> remarkable_{false};
};

/// Who waits for the answer: people come before batches.
enum class Priority : uint8_t { interactive, background };

/// Everything a service needs to know about the request it works for; the first parameter of every service function,
/// by const reference; it outlives the call. Background work makes its own.
struct RequestContext {
  std::string request_id;
  Tenant tenant;
  std::string user_id;        ///< empty: nobody named
  std::string key_id;         ///< of the API key that was shown; empty: none
  std::string workflow = {};  ///< on whose behalf, when an agent works; empty: none
  Priority priority = Priority::interactive;
  base::SteadyTime deadline = base::SteadyTime::max();
  async::CancelToken cancel;
  RequestTrace* trace = nullptr;  ///< may be null
  /// Names of the only models that may answer, whoever chooses among them; null: any.
  std::shared_ptr<const std::vector<std::string>> only_models = {};

  /// Whether one of a model's names is among only_models, or there is no such rule.
  [[nodiscard]] bool may_use_one_of(const std::vector<std::string>& names) const;
  /// An error when the request is cancelled or its deadline has passed, else success.
  [[nodiscard]] base::Result<> check(const base::Clock& clock) const;
};

/// Reports the time between construction and destruction (or stop()) as one stage of the request.
class StageTimer {
 public:
  StageTimer(const RequestContext& context, std::string_view stage);
  ~StageTimer() { stop(); }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;
  /// Milliseconds of the stage; reports once.
  double stop();

 private:
  RequestTrace* trace_;
  std::string_view stage_;
  base::SteadyTime start_;
  double elapsed_ms_ = -1;
};

}  // namespace tessera::core
