#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "async/task.h"

namespace tessera::async {

/// Runs a task on an event loop of its own until it ends; for tests and the command line. Rethrows what it throws.
/// Never call it on a thread that runs an event loop.
template <class T>
T sync_wait(Task<T> task) {
  boost::asio::io_context context(1);
  std::exception_ptr failure;
  if constexpr (std::is_void_v<T>) {
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr error) { failure = std::move(error); });
    context.run();
    if (failure) std::rethrow_exception(failure);
  } else {
    std::optional<T> result;
    const auto keep = [](std::optional<T>* into, Task<T> inner) -> Task<> { into->emplace(co_await std::move(inner)); };
    boost::asio::co_spawn(context, keep(&result, std::move(task)),
                          [&](std::exception_ptr error) { failure = std::move(error); });
    context.run();
    if (failure) std::rethrow_exception(failure);
    return *std::move(result);
  }
}

}  // namespace tessera::async
