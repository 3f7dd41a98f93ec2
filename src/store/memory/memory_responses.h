#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "core/response_owners.h"

namespace tessera::store {

/// ResponseOwnerStore in a map.
class MemoryResponses final : public core::ResponseOwnerStore {
 public:
  core::Task<base::Result<>> add_owner(core::ResponseOwner owner) override;
  core::Task<base::Result<std::optional<core::ResponseOwner>>> find_owner(std::string response_id,
                                                                          int64_t now_ms) override;
  core::Task<base::Result<>> delete_owner(core::Tenant tenant, std::string response_id) override;

 private:
  std::mutex mutex_;
  std::map<std::string, core::ResponseOwner> owners_;  // guarded by mutex_
  std::set<std::pair<int64_t, std::string>> by_age_;   // guarded by mutex_
};

}  // namespace tessera::store
