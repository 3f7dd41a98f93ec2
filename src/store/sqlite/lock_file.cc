#include "store/sqlite/lock_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace tessera::store {

base::Result<LockFile> LockFile::acquire(const std::string& database_path) {
  const std::string path = database_path + ".lock";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return base::fail(base::Code::unavailable, "DATABASE_CANNOT_OPEN",
                      fmt::format("The lock file {} cannot be opened: {}. Check that the folder exists and that the "
                                  "program may write there.",
                                  path, std::generic_category().message(errno)));
  }
  LockFile lock(descriptor);
  int locked = 0;
  do {
    locked = ::flock(descriptor, LOCK_EX | LOCK_NB);
  } while (locked != 0 && errno == EINTR);
  if (locked != 0) {
    return base::fail(base::Code::unavailable, "DATABASE_IN_USE",
                      fmt::format("The database {} is in use by another Tessera; stop that one, or give this one "
                                  "another data folder.",
                                  database_path));
  }
  return lock;
}

LockFile::~LockFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace tessera::store
