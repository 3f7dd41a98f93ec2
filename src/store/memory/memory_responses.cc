#include "store/memory/memory_responses.h"

#include "store/rules.h"

namespace tessera::store {

using core::ResponseOwner;
using core::Task;

Task<base::Result<>> MemoryResponses::add_owner(ResponseOwner owner) {
  TESSERA_CO_CHECK(check_owner(owner));
  const std::lock_guard lock(mutex_);
  const int64_t oldest = owner.created_at_ms - core::kResponseKeptMs;
  for (int64_t n = 0; n < kOwnersDropped && !by_age_.empty() && by_age_.begin()->first < oldest; ++n) {
    owners_.erase(by_age_.begin()->second);
    by_age_.erase(by_age_.begin());
  }
  const auto known = owners_.find(owner.response_id);
  if (known != owners_.end()) {
    if (known->second.created_at_ms >= oldest) co_return base::Result<>{};
    by_age_.erase({known->second.created_at_ms, known->first});
    owners_.erase(known);
  }
  by_age_.emplace(owner.created_at_ms, owner.response_id);
  const std::string id = owner.response_id;
  owners_.emplace(id, std::move(owner));
  co_return base::Result<>{};
}

Task<base::Result<std::optional<ResponseOwner>>> MemoryResponses::find_owner(std::string response_id, int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  const auto known = owners_.find(response_id);
  if (known == owners_.end() || known->second.created_at_ms < now_ms - core::kResponseKeptMs) {
    co_return std::optional<ResponseOwner>();
  }
  co_return known->second;
}

Task<base::Result<>> MemoryResponses::delete_owner(core::Tenant tenant, std::string response_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  const std::lock_guard lock(mutex_);
  const auto known = owners_.find(response_id);
  if (known == owners_.end() || known->second.tenant.app_id != tenant.app_id) co_return base::Result<>{};
  by_age_.erase({known->second.created_at_ms, known->first});
  owners_.erase(known);
  co_return base::Result<>{};
}

}  // namespace tessera::store
