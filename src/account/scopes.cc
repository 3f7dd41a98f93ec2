#include "account/scopes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace tessera::account {
namespace {

constexpr std::array<std::string_view, 6> kScopes = {"chat", "ingest", "memory", "agents", "admin", "metrics"};

}  // namespace

std::span<const std::string_view> scope_names() {
  return kScopes;
}

base::Result<ScopeSet> ScopeSet::parse(std::span<const std::string> names) {
  ScopeSet set;
  for (const std::string& name : names) {
    const auto it = std::ranges::find(kScopes, std::string_view(name));
    if (it == kScopes.end()) {
      return base::fail(base::Code::invalid, "UNKNOWN_SCOPE",
                        fmt::format("A scope is one of {}.", fmt::join(kScopes, ", ")), std::string(), "scopes");
    }
    set.bits_ |= static_cast<uint8_t>(1U << static_cast<unsigned>(it - kScopes.begin()));
  }
  return set;
}

ScopeSet ScopeSet::all() {
  ScopeSet set;
  set.bits_ = static_cast<uint8_t>((1U << kScopes.size()) - 1);
  return set;
}

bool ScopeSet::has(std::string_view name) const {
  const auto it = std::ranges::find(kScopes, name);
  return it != kScopes.end() && (bits_ >> static_cast<unsigned>(it - kScopes.begin()) & 1U) != 0;
}

std::vector<std::string> ScopeSet::names() const {
  std::vector<std::string> out;
  for (const std::string_view name : kScopes) {
    if (has(name)) out.emplace_back(name);
  }
  return out;
}

}  // namespace tessera::account
