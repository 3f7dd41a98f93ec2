#include "store/sqlite/connection.h"

#include <fmt/core.h>
#include <sqlite3.h>

#include <cerrno>
#include <thread>

#include "base/assert.h"

namespace tessera::store {
namespace {

using base::Code;
using base::make_error;

constexpr int kBusyMs = 5000;
constexpr int kSharedSteps = 250;  // of SQLite's machine: 50 us or so
constexpr std::chrono::milliseconds kSharedMost{4};

// SQLite calls only ENOSPC "full"; quotas and limits of the file's size mean the same to us.
bool out_of_space(sqlite3* handle, int code) {
  if ((code & 0xFF) == SQLITE_FULL) return true;
  if ((code & 0xFF) != SQLITE_IOERR) return false;
  const int reason = sqlite3_system_errno(handle);
  return reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
}

}  // namespace

base::Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Mode mode) {
  const int flags = (mode == Mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  if (code != SQLITE_OK) {
    const std::string why = handle != nullptr ? sqlite3_errmsg(handle) : "out of memory";
    sqlite3_close_v2(handle);
    return base::fail(Code::unavailable, "DATABASE_CANNOT_OPEN",
                      fmt::format("The database {} cannot be opened: {}. Check that the folder exists and that the "
                                  "program may write there.",
                                  path, why));
  }
  sqlite3_busy_timeout(handle, kBusyMs);
  return std::unique_ptr<Connection>(new Connection(handle, path));
}

Connection::~Connection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

base::Result<> Connection::execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code));
  return {};
}

void Connection::share_processor() {
  // The kernel's own preemption does not: a thread that has just begun its turn keeps the processor until a tick (4 ms
  // at 250 Hz), though a thread with shorter turns becomes ready.
  shared_ = {};
  const auto yield = [](void* shared) {
    auto& so_far = *static_cast<std::chrono::nanoseconds*>(shared);
    if (so_far >= kSharedMost) return 0;
    const auto before = std::chrono::steady_clock::now();
    std::this_thread::yield();
    so_far += std::chrono::steady_clock::now() - before;
    return 0;
  };
  sqlite3_progress_handler(handle_, kSharedSteps, yield, &shared_);
}

base::Error Connection::error(int code) const {
  const std::string detail = fmt::format("{}: {} (SQLite {})", path_, sqlite3_errmsg(handle_), code);
  if (out_of_space(handle_, code)) {
    return make_error(Code::unavailable, "STORAGE_FULL",
                      "The disk that holds the database is full; nothing was stored. Free some space, then try again.",
                      detail);
  }
  switch (code & 0xFF) {
    case SQLITE_TOOBIG:
      return make_error(Code::too_large, "DOCUMENT_TOO_LARGE",
                        "This is larger than a record can be; send it in smaller parts.", detail);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return make_error(Code::unavailable, "DATABASE_DAMAGED",
                        "The database file is damaged; the operator should restore it from a backup.", detail);
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PERM:
    case SQLITE_NOMEM:
      return make_error(Code::unavailable, "STORAGE_FAILED",
                        "The database could not be read or written; nothing was stored. Try again; if it persists, "
                        "the operator should check the disk.",
                        detail);
    default:
      return make_error(Code::internal, "STORAGE_ERROR", "The database refused a statement; this is a bug.", detail);
  }
}

bool Connection::in_transaction() const {
  return sqlite3_get_autocommit(handle_) == 0;
}

int64_t Connection::changed() const {
  return sqlite3_changes64(handle_);
}

void Connection::count_log_pages() {
  // Installing a hook also turns automatic checkpoints off.
  const auto hook = [](void* self, sqlite3*, const char*, int pages) {
    static_cast<Connection*>(self)->log_pages_ = pages;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(handle_, hook, this);
}

base::Result<> Connection::checkpoint() {
  const int code = sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code != SQLITE_OK && (code & 0xFF) != SQLITE_BUSY) return std::unexpected(error(code));
  return {};
}

sqlite3_stmt* Connection::statement(const char* sql, int& code) {
  sqlite3_stmt*& kept = statements_[sql];
  if (kept == nullptr) {
    code = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &kept, nullptr);
    if (code != SQLITE_OK) return nullptr;
  }
  TESSERA_ASSERT(sqlite3_stmt_busy(kept) == 0);
  return kept;
}

Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Query::next() {
  if (code_ != SQLITE_OK && code_ != SQLITE_ROW) return false;
  code_ = sqlite3_step(statement_);
  return code_ == SQLITE_ROW;
}

base::Result<> Query::finish() {
  while (next()) {
  }
  if (code_ != SQLITE_DONE) return std::unexpected(connection_.error(code_));
  return {};
}

int64_t Query::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Query::real(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string_view Query::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, size);
}

void Query::bind_integer(int index, int64_t value) {
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_int64(statement_, index, value);
}

void Query::bind(int index, double value) {
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_double(statement_, index, value);
}

void Query::bind(int index, std::string_view value) {
  // A null pointer would bind NULL.
  const char* bytes = value.empty() ? "" : value.data();
  if (code_ == SQLITE_OK) {
    code_ = sqlite3_bind_text64(statement_, index, bytes, value.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
}

void Query::bind(int index, Blob value) {
  const char* bytes = value.bytes.empty() ? "" : value.bytes.data();
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_blob64(statement_, index, bytes, value.bytes.size(), SQLITE_STATIC);
}

}  // namespace tessera::store
