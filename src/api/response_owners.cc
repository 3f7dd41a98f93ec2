#include "api/response_owners.h"

#include <utility>

namespace tessera::api {

async::Task<> ResponseOwners::note(core::Tenant tenant, std::string response_id, std::string model) {
  core::ResponseOwner owner{.response_id = std::move(response_id),
                            .tenant = std::move(tenant),
                            .model = std::move(model),
                            .created_at_ms = clock_.unix_ms()};
  const auto kept = co_await store_.add_owner(std::move(owner));
  if (!kept) log_.failure("response_owner_not_kept", kept.error());
}

async::Task<base::Result<std::optional<std::string>>> ResponseOwners::model_of(core::Tenant tenant,
                                                                               std::string response_id) {
  TESSERA_CO_TRY(auto owner, co_await store_.find_owner(std::move(response_id), clock_.unix_ms()));
  if (!owner || owner->tenant != tenant) co_return std::optional<std::string>();
  co_return std::move(owner->model);
}

async::Task<base::Result<bool>> ResponseOwners::strange(core::Tenant tenant, std::string response_id) {
  TESSERA_CO_TRY(const auto owner, co_await store_.find_owner(std::move(response_id), clock_.unix_ms()));
  co_return owner && owner->tenant != tenant;
}

async::Task<> ResponseOwners::forget(core::Tenant tenant, std::string response_id) {
  const auto gone = co_await store_.delete_owner(std::move(tenant), std::move(response_id));
  if (!gone) log_.failure("response_owner_not_forgotten", gone.error());
}

}  // namespace tessera::api
