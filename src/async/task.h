#pragma once

#include <boost/asio/awaitable.hpp>

namespace tessera::async {

/// A coroutine of ours. Lazy; runs on the executor of whoever awaits it. Started from outside only through a TaskScope.
template <class T = void>
using Task = boost::asio::awaitable<T>;

}  // namespace tessera::async
