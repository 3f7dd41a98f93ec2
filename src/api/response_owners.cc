#include "api/response_owners.h"

#include <utility>

namespace tessera::api {

async::Task<> ResponseOwners::note(core::ResponseOwner owner) {
  owner.created_at_ms = clock_.unix_ms();
  const auto kept = co_await store_.add_owner(std::move(owner));
  if (!kept) log_.failure("response_owner_not_kept", kept.error());
}

async::Task<base::Result<std::optional<core::ResponseOwner>>> ResponseOwners::find(std::string response_id) {
  return store_.find_owner(std::move(response_id), clock_.unix_ms());
}

async::Task<> ResponseOwners::forget(core::Tenant tenant, std::string response_id) {
  const auto gone = co_await store_.delete_owner(std::move(tenant), std::move(response_id));
  if (!gone) log_.failure("response_owner_not_forgotten", gone.error());
}

}  // namespace tessera::api
