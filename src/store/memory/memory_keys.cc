#include "store/memory/memory_keys.h"

#include <algorithm>
#include <ranges>

#include "store/rules.h"

namespace tessera::store {

using core::ApiKey;
using core::Task;

Task<base::Result<>> MemoryKeys::add_key(ApiKey key) {
  TESSERA_CO_CHECK(check_key(key));
  const std::lock_guard lock(mutex_);
  const bool taken =
      std::ranges::any_of(std::views::values(keys_), [&](const ApiKey& k) { return k.hash == key.hash; });
  if (taken || keys_.contains({key.tenant, key.key_id})) co_return std::unexpected(key_exists());
  const auto place = std::pair(key.tenant, key.key_id);
  keys_.emplace(place, std::move(key));
  co_return base::Result<>{};
}

Task<base::Result<std::vector<ApiKey>>> MemoryKeys::load_keys() {
  std::vector<ApiKey> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, key] : keys_) all.push_back(key);
  }
  std::ranges::sort(all, {}, [](const ApiKey& k) { return std::tuple(k.created_at_ms, k.tenant, k.key_id); });
  co_return all;
}

Task<base::Result<ApiKey>> MemoryKeys::revoke_key(core::Tenant tenant, std::string key_id, int64_t at_ms) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  const std::lock_guard lock(mutex_);
  const auto it = keys_.find({tenant, key_id});
  if (it == keys_.end()) co_return std::unexpected(key_not_found());
  if (it->second.revoked_at_ms == 0) it->second.revoked_at_ms = at_ms;
  co_return it->second;
}

}  // namespace tessera::store
