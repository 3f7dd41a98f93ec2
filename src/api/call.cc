#include "api/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "text/utf8.h"

namespace tessera::api {
namespace {

/// "6m0s", "1.5s", "20ms": how OpenAI writes them.
std::string duration_text(base::Millis time) {
  const int64_t ms = time.count();
  if (ms < 1000) return fmt::format("{}ms", ms);
  if (ms < 60'000) return fmt::format("{:g}s", static_cast<double>(ms) / 1000);
  return fmt::format("{}m{:g}s", ms / 60'000, static_cast<double>(ms % 60'000) / 1000);
}

/// "model;dur=12.345". Every answer has some, and formatting floating point would be dear.
void append_duration(std::string& out, std::string_view stage, double ms) {
  const auto us = static_cast<int64_t>(std::clamp(ms * 1000, 0.0, 1e15) + 0.5);
  char text[24];
  char* end = std::to_chars(text, text + sizeof text - 4, us / 1000).ptr;
  *end++ = '.';
  for (int64_t unit = 100; unit > 0; unit /= 10) *end++ = static_cast<char>('0' + us / unit % 10);
  out.append(stage).append(";dur=").append(text, end);
}

void add_limit(std::vector<wire::Header>& headers, std::string_view kind, const account::LimitReading& reading) {
  headers.push_back({fmt::format("X-RateLimit-Limit-{}", kind), std::to_string(reading.limit)});
  headers.push_back({fmt::format("X-RateLimit-Remaining-{}", kind), std::to_string(reading.remaining)});
  headers.push_back({fmt::format("X-RateLimit-Reset-{}", kind), duration_text(reading.reset)});
}

/// OpenAI's names for both limits, and the common ones for the limit of requests (else of tokens), in seconds.
void add_limits(std::vector<wire::Header>& headers, const account::KeyMeter& meter, base::SteadyTime now) {
  const auto requests = meter.requests(now);
  const auto tokens = meter.tokens(now);
  if (requests) add_limit(headers, "Requests", *requests);
  if (tokens) add_limit(headers, "Tokens", *tokens);
  const auto& first = requests ? requests : tokens;
  if (!first) return;
  headers.push_back({"X-RateLimit-Limit", std::to_string(first->limit)});
  headers.push_back({"X-RateLimit-Remaining", std::to_string(first->remaining)});
  headers.push_back({"X-RateLimit-Reset", std::to_string((first->reset.count() + 999) / 1000)});
}

/// "a, b". Names of budgets are a client's own words, so what no header may hold is written as %XX.
std::string header_list(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    if (!out.empty()) out += ", ";
    for (const char c : name) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte > 0x20 && byte < 0x7f && c != ',' && c != '%') {
        out += c;
      } else {
        fmt::format_to(std::back_inserter(out), "%{:02X}", byte);
      }
    }
  }
  return out;
}

}  // namespace

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
  out.reserve(64);
  for (const auto& [stage, ms] : trace.stages()) {
    append_duration(out, stage, ms);
    out += ", ";
  }
  append_duration(out, "total", std::chrono::duration<double, std::milli>(clock.now() - started).count());
  return out;
}

std::vector<wire::Header> Call::common_headers(const base::Clock& clock) const {
  std::vector<wire::Header> headers;
  headers.reserve(4);
  headers.push_back({"X-Request-Id", context.request_id});
  headers.push_back({"Server-Timing", server_timing(clock)});
  if (trace.remarkable()) {
    if (const auto parts = trace.degraded(); !parts.empty()) {
      headers.push_back({"X-Tessera-Degraded", header_list(parts)});
    }
    if (const auto budgets = trace.passed_budgets(); !budgets.empty()) {
      headers.push_back({"X-Tessera-Budget-Warning", header_list(budgets)});
    }
  }
  if (grant != nullptr && grant->meter != nullptr) add_limits(headers, *grant->meter, clock.now());
  return headers;
}

}  // namespace tessera::api
