#pragma once

#include <functional>

#include "llm/engines/engine_pool.h"

namespace tessera::llm {

constexpr int kEngineTries = 4;

/// Whether a call failed because its engine went away, so that another engine, or the same one when it is back, can
/// answer it.
bool engine_was_lost(const base::Error& error);

/// Runs `call(lease)`, a task of a Result, on an engine of the pool; on another one when that engine was lost and
/// `again()` says that nobody has seen anything yet. All that is passed by reference outlives the task.
template <class Call, class Again>
auto call_engine(EnginePool& pool, const core::RequestContext& context, Prefix prefix, Call& call, Again& again)
    -> decltype(call(std::declval<EnginePool::Lease&>())) {
  for (int attempt = 1;; ++attempt) {
    TESSERA_CO_TRY(EnginePool::Lease lease, co_await pool.acquire(context, prefix));
    auto result = co_await call(lease);
    if (result || !engine_was_lost(result.error())) co_return result;
    lease.lost();
    if (attempt >= kEngineTries || context.cancel.cancelled() || !again()) co_return result;
  }
}

}  // namespace tessera::llm
