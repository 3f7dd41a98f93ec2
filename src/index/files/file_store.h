#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tessera::index {

class FileStore;

/// invalid SNAPSHOT_DAMAGED: a file, or what stands in `file`'s place, is not what it should be. The reason is for the
/// operator.
std::unexpected<base::Error> files_damaged(std::string_view file, std::string_view reason);

/// Identifies a finished file; what a manifest keeps of it. `checksum` is a chain of XXH3 (64 bits) over its bytes
/// (docs/formats/index.md).
struct FileEntry {
  std::string name;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
  bool operator==(const FileEntry&) const = default;
};

/// A finished, immutable file: mapped read-only, or memory in a store without a directory. Held by shared pointers;
/// once nobody holds it and no manifest names it, the next commit removes it from the disk.
class IndexFile {
 public:
  ~IndexFile();
  IndexFile(const IndexFile&) = delete;
  IndexFile& operator=(const IndexFile&) = delete;

  [[nodiscard]] const FileEntry& entry() const { return entry_; }
  /// Begins at a page boundary (in memory: at 64 bytes), so what a writer aligned is aligned here.
  [[nodiscard]] std::string_view bytes() const { return {data_, entry_.bytes}; }
  /// `count` elements from byte `offset`; empty if they are not there or not aligned.
  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] std::span<const T> array(uint64_t offset, uint64_t count) const {
    if (offset % alignof(T) != 0 || offset > entry_.bytes || count > (entry_.bytes - offset) / sizeof(T)) return {};
    return {reinterpret_cast<const T*>(data_ + offset), count};
  }

 private:
  friend class FileStore;
  friend class FileWriter;
  IndexFile(FileEntry entry, const char* data, bool mapped) : entry_(std::move(entry)), data_(data), mapped_(mapped) {}

  FileEntry entry_;
  const char* data_;
  bool mapped_;
};

/// Writes one file from front to back, a mebibyte at a time. Errors (disk full and the like) are kept until finish(). A
/// writer that is destroyed unfinished leaves nothing. One thread.
class FileWriter {
 public:
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  /// Bytes so far.
  [[nodiscard]] uint64_t position() const { return written_ + buffer_.size(); }
  template <class T>
    requires std::is_arithmetic_v<T>
  void put(T value) {
    put_bytes(&value, sizeof value);
  }
  /// Plain elements, as they are in memory, without a count.
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void put_array(std::span<const T> values) {
    put_bytes(values.data(), values.size_bytes());
  }
  /// Zeros up to a multiple of `alignment` (a power of two).
  void align(uint64_t alignment);
  /// The file, readable at once. It is synced by the commit that first names it. Errors: unavailable STORAGE_FAILED.
  base::Result<std::shared_ptr<const IndexFile>> finish();

 private:
  friend class FileStore;
  FileWriter(FileStore& store, std::string name);
  void put_bytes(const void* from, size_t size);
  void flush();

  FileStore& store_;
  std::string name_;
  int file_ = -1;
  int error_ = 0;  // the first errno
  uint64_t written_ = 0;
  uint64_t checksum_ = 0;
  std::vector<char> buffer_;  // in a store without a directory: the whole file
};

/// Reads values in the order they were put. Reading beyond the end makes it bad: it then gives zeros and empty views. A
/// value over bytes that outlive it.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  template <class T>
    requires std::is_arithmetic_v<T>
  T get() {
    T value{};
    const std::string_view bytes = take(sizeof value);
    if (good_) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  template <class T>
    requires std::is_trivially_copyable_v<T>
  std::vector<T> get_array(uint64_t count) {
    if (count > rest_.size() / sizeof(T)) {
      good_ = false;
      return {};
    }
    std::vector<T> values(count);
    const std::string_view bytes = take(count * sizeof(T));
    if (good_ && count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  std::string_view get_string() { return take(get<uint32_t>()); }
  FileEntry get_entry();
  /// The next bytes, in place.
  std::string_view take(uint64_t size) {
    if (size > rest_.size()) good_ = false;
    if (!good_) return {};
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

 private:
  std::string_view rest_;
  bool good_ = true;
};

/// Builds the small records of a manifest.
class ByteWriter {
 public:
  template <class T>
    requires std::is_arithmetic_v<T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void put_array(std::span<const T> values) {
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  void put_string(std::string_view text) {
    put(static_cast<uint32_t>(text.size()));
    bytes_.append(text);
  }
  void put_entry(const FileEntry& entry);
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// When an opened file's checksum is looked at: before it is used, or by verify() in the background. `later` is for
/// files whose bytes cannot lead a reader out of memory, whatever they are.
enum class Verify { now, later };

/// The files of one index: immutable ones under names never used twice, and a manifest that names those in force and is
/// replaced by renaming; so a crash leaves the old state or the new one. Without a directory everything is in memory
/// and commit keeps nothing. Thread-safe; outlives its files.
class FileStore {
 public:
  /// An empty path: in memory.
  explicit FileStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

  /// `kind` (letters) becomes part of the name.
  std::unique_ptr<FileWriter> create(std::string_view kind);
  /// Errors: invalid SNAPSHOT_DAMAGED (missing, wrong size, wrong checksum), unavailable STORAGE_FAILED; the detail
  /// names the file and the reason.
  base::Result<std::shared_ptr<const IndexFile>> open(const FileEntry& entry, Verify verify);
  /// Looks at one file that was opened for later; false when none waits. Errors as open.
  base::Result<bool> verify_next();

  /// The payload of the manifest; empty when there is none. Errors as open.
  base::Result<std::string> read_manifest();
  /// Syncs the files named in `entries` that are new, replaces the manifest, and removes what nobody holds or names.
  /// Errors: unavailable STORAGE_FAILED; the former manifest stays in force.
  base::Result<> commit(std::string_view payload, const std::vector<FileEntry>& entries);
  /// Removes the manifest and then every file that nobody holds.
  void remove_all();
  [[nodiscard]] bool on_disk() const { return !directory_.empty(); }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

 private:
  friend class FileWriter;
  std::shared_ptr<const IndexFile> adopt(FileEntry entry, const char* data, bool mapped);
  void abandon(const std::string& name);
  void remove_unnamed();  // with mutex_
  [[nodiscard]] std::filesystem::path path(const std::string& name) const { return directory_ / name; }

  const std::filesystem::path directory_;
  std::mutex mutex_;
  uint64_t next_number_ = 0;                                    // 0: the directory was not looked at yet
  std::set<std::string> writing_;                               // begun, not finished
  std::set<std::string> named_;                                 // by the manifest in force: synced
  std::map<std::string, std::weak_ptr<const IndexFile>> held_;  // finished or opened
  std::vector<std::weak_ptr<const IndexFile>> unverified_;
};

}  // namespace tessera::index
