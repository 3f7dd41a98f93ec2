#include "api/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "text/utf8.h"

namespace tessera::api {

std::string Call::param(std::string_view name) const {
  const auto it = std::ranges::find(params, name, [](const auto& p) { return p.first; });
  return it == params.end() ? std::string() : it->second;
}

base::Result<std::string> Call::query(std::string_view name, std::string_view fallback) const {
  auto value = request.query_value(name);
  if (!value) return std::string(fallback);
  if (!text::is_valid_utf8(*value)) {
    return base::fail(base::Code::invalid, "INVALID_FIELD", fmt::format("'{}' is not valid UTF-8.", name),
                      std::string(), std::string(name));
  }
  return *std::move(value);
}

base::Result<int64_t> Call::query_integer(std::string_view name, IntegerRange range) const {
  const auto value = request.query_value(name);
  if (!value) return range.fallback;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (error != std::errc() || end != value->data() + value->size() || number < range.min || number > range.max) {
    return base::fail(base::Code::invalid, "INVALID_FIELD",
                      fmt::format("'{}' must be a whole number from {} to {}.", name, range.min, range.max),
                      std::string(), std::string(name));
  }
  return number;
}

base::Result<core::PageRequest> Call::page() const {
  core::PageRequest page;
  TESSERA_TRY(page.limit, query_integer("limit", {.fallback = 50, .min = 1, .max = 1000}));
  TESSERA_TRY(page.cursor, query("cursor"));
  return page;
}

base::Result<> Call::allow_query(std::initializer_list<std::string_view> names) const {
  for (const auto& [name, value] : request.query_fields()) {
    if (std::ranges::find(names, std::string_view(name)) == names.end()) {
      const std::string shown = text::repair_utf8(std::string_view(name).substr(0, 64));
      return base::fail(base::Code::invalid, "UNKNOWN_FIELD",
                        fmt::format("'{}' is not a query field of this route.", shown), std::string(), shown);
    }
  }
  return {};
}

std::string Call::server_timing(const base::Clock& clock) const {
  std::string out;
  for (const auto& [stage, ms] : trace.stages()) fmt::format_to(std::back_inserter(out), "{};dur={:.3f}, ", stage, ms);
  const double total = std::chrono::duration<double, std::milli>(clock.now() - started).count();
  fmt::format_to(std::back_inserter(out), "total;dur={:.3f}", total);
  return out;
}

std::vector<wire::Header> Call::common_headers(const base::Clock& clock) const {
  std::vector<wire::Header> headers;
  headers.reserve(4);
  headers.push_back({"X-Request-Id", context.request_id});
  headers.push_back({"Server-Timing", server_timing(clock)});
  return headers;
}

}  // namespace tessera::api
