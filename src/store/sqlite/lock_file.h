#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace tessera::store {

/// Keeps other processes away from a database: an exclusive flock on "PATH.lock", released by the kernel when the
/// process ends, however it ends. A resource. (A lock on the database file itself would be lost when any of its
/// descriptors is closed.)
class LockFile {
 public:
  /// Errors: unavailable DATABASE_IN_USE, DATABASE_CANNOT_OPEN.
  static base::Result<LockFile> acquire(const std::string& database_path);
  LockFile(LockFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile();

 private:
  explicit LockFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace tessera::store
