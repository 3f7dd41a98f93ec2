#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tessera::store {

/// Bytes bound as a BLOB (plain string_views are bound as TEXT).
struct Blob {
  std::string_view bytes;
};

class Query;

/// One SQLite connection with its prepared statements. A resource; one thread at a time.
class Connection {
 public:
  enum class Mode { read_write, read_only };

  /// Errors: unavailable DATABASE_CANNOT_OPEN.
  static base::Result<std::unique_ptr<Connection>> open(const std::string& path, Mode mode);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Runs statements that give no rows.
  base::Result<> execute(const char* sql);
  /// The last failure in our terms: unavailable STORAGE_FULL, STORAGE_FAILED, DATABASE_DAMAGED; too_large; internal.
  [[nodiscard]] base::Error error(int code) const;
  /// Whether a BEGIN is open. SQLite ends a transaction by itself after some failures.
  [[nodiscard]] bool in_transaction() const;
  /// Rows changed by the last INSERT, UPDATE or DELETE.
  [[nodiscard]] int64_t changed() const;

  /// From now on, other threads that wait for this processor are let in amid long statements and rows of short ones,
  /// for 4 ms in all until the next call: one that never sleeps would take a whole tick of the kernel each time.
  void share_processor();

  /// The log's length in pages as of the last commit; checkpoints are the caller's to start (`checkpoint`).
  void count_log_pages();
  [[nodiscard]] int64_t log_pages() const { return log_pages_; }
  /// Folds what no reader needs of the log into the file; never waits for readers.
  base::Result<> checkpoint();

 private:
  friend class Query;
  Connection(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  sqlite3_stmt* statement(const char* sql, int& code);

  sqlite3* handle_;
  std::string path_;
  int64_t log_pages_ = 0;
  std::chrono::nanoseconds shared_{0};
  std::unordered_map<const char*, sqlite3_stmt*> statements_;  ///< by the address of their text
};

/// One run of a prepared statement. `sql` must be a literal: statements are kept by its address, and one text runs once
/// at a time per connection. Arguments are not copied and must outlive the run. Text and bytes of a row are valid until
/// the next `next`.
class Query {
 public:
  template <class... Args>
  Query(Connection& connection, const char* sql, const Args&... args) : connection_(connection) {
    statement_ = connection.statement(sql, code_);
    int index = 0;
    (bind(++index, args), ...);
  }
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  /// Goes to the next row; false at the end and on failure.
  bool next();
  /// Runs what is left; whether all went well.
  base::Result<> finish();

  [[nodiscard]] int64_t integer(int column) const;
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] std::string_view text(int column) const;
  [[nodiscard]] std::string string(int column) const { return std::string(text(column)); }

 private:
  template <std::integral T>
  void bind(int index, T value) {
    bind_integer(index, static_cast<int64_t>(value));
  }
  void bind(int index, double value);
  void bind(int index, std::string_view value);
  void bind(int index, Blob value);
  void bind_integer(int index, int64_t value);

  Connection& connection_;
  sqlite3_stmt* statement_ = nullptr;
  int code_ = 0;
};

/// Runs a statement that gives no rows.
template <class... Args>
base::Result<> run(Connection& connection, const char* sql, const Args&... args) {
  return Query(connection, sql, args...).finish();
}

}  // namespace tessera::store
