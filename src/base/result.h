#pragma once

#include <expected>
#include <utility>

#include "base/error.h"

namespace tessera::base {

/// A value or the reason why there is none. Every fallible function returns one; exceptions are for broken invariants.
template <class T = void>
using Result = std::expected<T, Error>;

/// Wraps an error for return: `return fail(Code::invalid, "BAD_NAME", "...")`.
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(Args&&... args) {
  return std::unexpected<Error>(make_error(std::forward<Args>(args)...));
}

}  // namespace tessera::base

#define TESSERA_CONCAT_(a, b) a##b
#define TESSERA_CONCAT(a, b) TESSERA_CONCAT_(a, b)
#define TESSERA_TRY_(tmp, ret, decl, ...)                \
  auto tmp = (__VA_ARGS__);                              \
  if (!tmp) ret std::unexpected(std::move(tmp).error()); \
  decl = *std::move(tmp)
#define TESSERA_CHECK_(tmp, ret, ...)                      \
  do {                                                     \
    auto tmp = (__VA_ARGS__);                              \
    if (!tmp) ret std::unexpected(std::move(tmp).error()); \
  } while (false)

/// TESSERA_TRY(auto x, f()): x is f()'s value, or the enclosing function returns f()'s error.
#define TESSERA_TRY(decl, ...) TESSERA_TRY_(TESSERA_CONCAT(try_, __LINE__), return, decl, __VA_ARGS__)
/// The same inside a coroutine: TESSERA_CO_TRY(auto x, co_await f()).
#define TESSERA_CO_TRY(decl, ...) TESSERA_TRY_(TESSERA_CONCAT(try_, __LINE__), co_return, decl, __VA_ARGS__)
/// For results without a value.
#define TESSERA_CHECK(...) TESSERA_CHECK_(TESSERA_CONCAT(check_, __LINE__), return, __VA_ARGS__)
#define TESSERA_CO_CHECK(...) TESSERA_CHECK_(TESSERA_CONCAT(check_, __LINE__), co_return, __VA_ARGS__)
