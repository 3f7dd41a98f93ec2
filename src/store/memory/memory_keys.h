#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/accounts.h"

namespace tessera::store {

/// KeyStore in a map.
class MemoryKeys final : public core::KeyStore {
 public:
  core::Task<base::Result<>> add_key(core::ApiKey key) override;
  core::Task<base::Result<std::vector<core::ApiKey>>> load_keys() override;
  core::Task<base::Result<core::ApiKey>> revoke_key(core::Tenant tenant, std::string key_id, int64_t at_ms) override;

 private:
  std::mutex mutex_;
  std::map<std::pair<core::Tenant, std::string>, core::ApiKey> keys_;  // guarded by mutex_
};

}  // namespace tessera::store
