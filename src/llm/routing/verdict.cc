#include "llm/routing/verdict.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace tessera::llm {
namespace {

using base::Code;

struct Named {
  std::string_view name;
  Verdict verdict;
};

// Names that say more than their code.
constexpr Named kNamed[] = {
    // Another model may see it otherwise, or have more room; the endpoint is well.
    {"CONTENT_FILTERED", {.elsewhere = true, .again = false, .health = Health::good}},
    {"CONTEXT_TOO_LONG", {.elsewhere = true, .again = false, .health = Health::unknown}},
    {"PROVIDER_MODEL_MISSING", {.elsewhere = true, .again = false, .health = Health::good}},
    // Not in that one's dialect.
    {"PARAMETER_UNSUPPORTED", {.elsewhere = true, .again = false, .health = Health::unknown}},
    // Another model's price may be known.
    {"PRICE_UNKNOWN", {.elsewhere = true, .again = false, .health = Health::unknown}},
    // A key or an address that is wrong stays wrong.
    {"PROVIDER_AUTH", {.elsewhere = true, .again = false, .health = Health::bad}},
    {"PROVIDER_UNUSABLE", {.elsewhere = true, .again = false, .health = Health::bad}},
    {"PROVIDER_QUOTA", {.elsewhere = true, .again = false, .health = Health::slow_down}},
    {"PROVIDER_CIRCUIT_OPEN", {.elsewhere = true, .again = false, .health = Health::unknown}},
    // Our own queue before the endpoint; waiting there again helps nobody.
    {"TOO_MANY_WAITING", {.elsewhere = true, .again = false, .health = Health::unknown}},
    {"ENDPOINT_BUSY", {.elsewhere = true, .again = false, .health = Health::unknown}},
    // The request's own time is over.
    {"DEADLINE", {.elsewhere = false, .again = false, .health = Health::unknown}},
    {"DEADLINE_EXCEEDED", {.elsewhere = false, .again = false, .health = Health::unknown}},
};

Verdict by_code(Code code) {
  switch (code) {
    case Code::exhausted:
      return {.elsewhere = true, .again = true, .health = Health::slow_down};
    case Code::unavailable:
    case Code::deadline:
    case Code::upstream:
      return {.elsewhere = true, .again = true, .health = Health::bad};
    case Code::invalid:
    case Code::too_large:
    case Code::unreadable:
    case Code::not_found:
    case Code::conflict:
      return {.elsewhere = false, .again = false, .health = Health::good};
    case Code::unauthenticated:
    case Code::forbidden:
    case Code::budget:
    case Code::cancelled:
    case Code::internal:
      return {};
  }
  return {};
}

}  // namespace

Verdict judge(const base::Error& error) {
  const auto* const named = std::ranges::find(kNamed, std::string_view(error.name), &Named::name);
  return named != std::end(kNamed) ? named->verdict : by_code(error.code);
}

bool is_rate_limit(const base::Error& error) {
  return error.code == Code::exhausted && judge(error).health == Health::slow_down;
}

}  // namespace tessera::llm
