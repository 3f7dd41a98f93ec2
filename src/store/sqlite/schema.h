#pragma once

#include <string>

#include "base/result.h"
#include "store/sqlite/connection.h"

namespace tessera::store {

/// The format of the database that this program writes; docs/formats/database.md describes it.
inline constexpr int64_t kSchemaVersion = 7;
/// "TSSR" in the file's header.
inline constexpr int64_t kApplicationId = 0x54535352;
/// Texts are kept in parts of this many bytes, so that a passage of a long document is read without the rest.
inline constexpr int64_t kTextPartBytes = 32 * 1024;

/// Checks whose file it is and brings it from its version to ours, one transaction a step; an empty file becomes a
/// database. `path` is for messages. Errors: invalid DATABASE_NOT_OURS, DATABASE_TOO_NEW; unavailable
/// DATABASE_DAMAGED, STORAGE_FULL, STORAGE_FAILED.
base::Result<> migrate(Connection& connection, const std::string& path);

/// Whether it has this program's schema, for those who only read. Errors: invalid DATABASE_NOT_OURS.
base::Result<> check_schema(Connection& connection, const std::string& path);

}  // namespace tessera::store
