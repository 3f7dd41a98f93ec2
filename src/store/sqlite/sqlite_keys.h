#pragma once

#include <string>
#include <vector>

#include "core/accounts.h"
#include "store/sqlite/reader_pool.h"
#include "store/sqlite/write_queue.h"

namespace tessera::store {

/// KeyStore over the writer thread and the readers; a view of them, which outlive it.
class SqliteKeys final : public core::KeyStore {
 public:
  SqliteKeys(WriteQueue& writer, ReaderPool& readers) : writer_(writer), readers_(readers) {}

  core::Task<base::Result<>> add_key(core::ApiKey key) override;
  core::Task<base::Result<std::vector<core::ApiKey>>> load_keys() override;
  core::Task<base::Result<core::ApiKey>> revoke_key(core::Tenant tenant, std::string key_id, int64_t at_ms) override;

 private:
  WriteQueue& writer_;
  ReaderPool& readers_;
};

}  // namespace tessera::store
