#pragma once

#include <optional>
#include <string>

#include "core/response_owners.h"
#include "store/sqlite/reader_pool.h"
#include "store/sqlite/write_queue.h"

namespace tessera::store {

/// ResponseOwnerStore over the writer thread and the readers; a view of them, which outlive it.
class SqliteResponses final : public core::ResponseOwnerStore {
 public:
  SqliteResponses(WriteQueue& writer, ReaderPool& readers) : writer_(writer), readers_(readers) {}

  core::Task<base::Result<>> add_owner(core::ResponseOwner owner) override;
  core::Task<base::Result<std::optional<core::ResponseOwner>>> find_owner(std::string response_id,
                                                                          int64_t now_ms) override;
  core::Task<base::Result<>> delete_owner(core::Tenant tenant, std::string response_id) override;

 private:
  WriteQueue& writer_;
  ReaderPool& readers_;
};

}  // namespace tessera::store
