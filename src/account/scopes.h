#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tessera::account {

/// What a key may be used for; a set. Each route names the one that it needs (api/routes.def).
class ScopeSet {
 public:
  ScopeSet() = default;
  /// Errors: invalid UNKNOWN_SCOPE (naming the ones that exist).
  static base::Result<ScopeSet> parse(std::span<const std::string> names);
  static ScopeSet all();
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] bool empty() const { return bits_ == 0; }
  /// In the order of scope_names().
  [[nodiscard]] std::vector<std::string> names() const;
  bool operator==(const ScopeSet&) const = default;

 private:
  uint8_t bits_ = 0;  // bit n: scope_names()[n]
};

/// "chat", "ingest", "memory", "agents", "admin", "metrics".
std::span<const std::string_view> scope_names();

}  // namespace tessera::account
