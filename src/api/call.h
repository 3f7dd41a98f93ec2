#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "account/keys.h"
#include "api/route.h"
#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"
#include "core/context.h"
#include "core/documents.h"
#include "wire/http_server.h"

namespace tessera::api {

/// A finished answer. `streamed`: the handler wrote to the socket itself and nothing is left to send.
struct Reply {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<wire::Header> headers;
  std::string body;
  bool streamed = false;
};

/// One request on its way through the pipeline. Lives on the connection's coroutine until the answer is out.
struct Call {
  wire::Request& request;
  wire::ResponseWriter& writer;
  base::SteadyTime started;
  size_t bytes_in;  ///< of the request's body as it arrived: what is passed on is moved out of the request
  const RouteSpec* route = nullptr;  ///< null: no such route
  RouteParams params;
  std::string allow;
  core::RequestTrace trace;
  core::RequestContext context;
  account::Grant grant;    ///< of the key that was shown; null where none is needed
  int status = 0;          ///< of the answer, for log and metrics
  std::string error_name;  ///< empty: it went well
  std::optional<base::Code> error_code;

  Call(wire::Request& the_request, wire::ResponseWriter& the_writer, base::SteadyTime now)
      : request(the_request), writer(the_writer), started(now), bytes_in(the_request.body.size()) {
    context.trace = &trace;
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Notes how it ended, for log and metrics.
  void failed(const base::Error& error) {
    error_name = error.name;
    error_code = error.code;
  }
  /// A {name} of the path; empty when the route has none of that name.
  [[nodiscard]] std::string param(std::string_view name) const;
  /// `?name=` as text. Errors: invalid INVALID_FIELD when it is not UTF-8.
  [[nodiscard]] base::Result<std::string> query(std::string_view name, std::string_view fallback = {}) const;
  /// `?name=` as an integer in [min, max]. Errors: invalid INVALID_FIELD.
  struct IntegerRange {
    int64_t fallback;
    int64_t min;
    int64_t max;
  };
  [[nodiscard]] base::Result<int64_t> query_integer(std::string_view name, IntegerRange range) const;
  /// `?limit=&cursor=`.
  [[nodiscard]] base::Result<core::PageRequest> page() const;
  /// Refuses query fields that the route does not know.
  [[nodiscard]] base::Result<> allow_query(std::initializer_list<std::string_view> names) const;
  /// Value of the Server-Timing header: the stages so far and the total.
  [[nodiscard]] std::string server_timing(const base::Clock& clock) const;
  /// Headers that every answer carries, streamed ones too.
  [[nodiscard]] std::vector<wire::Header> common_headers(const base::Clock& clock) const;
};

/// Answers a call; runs on the connection's shard.
using RouteHandler = std::function<async::Task<base::Result<Reply>>(Call&)>;

}  // namespace tessera::api
