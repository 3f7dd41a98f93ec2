#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace tessera::core {

/// Whose data this is. Part of every key in stores, indexes, caches and streams; there is no "all tenants".
struct Tenant {
  std::string app_id;
  auto operator<=>(const Tenant&) const = default;
};

/// A collection by its tenant and its name.
struct CollectionName {
  Tenant tenant;
  std::string name;
  auto operator<=>(const CollectionName&) const = default;
};

/// Whether `name` may name a collection: 1 to 128 bytes of letters, digits, '-', '_' and '.', not starting with '.'.
bool valid_collection_name(std::string_view name);

}  // namespace tessera::core
