#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "async/task.h"

namespace tessera::async {

/// Runs `task` on `executor` and continues on the caller's; gives what it gives and rethrows what it throws. The caller
/// stays suspended meanwhile, so `task` may refer to its frame.
template <class T>
Task<T> run_on(boost::asio::any_io_executor executor, Task<T> task) {
  co_return co_await boost::asio::co_spawn(std::move(executor), std::move(task), boost::asio::use_awaitable);
}

}  // namespace tessera::async
