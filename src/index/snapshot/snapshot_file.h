#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace tessera::index {

/// What a snapshot file holds; part of its header.
enum class SnapshotKind : uint32_t { manifest = 1, collection = 2 };

inline constexpr uint32_t kSnapshotVersion = 1;

/// Identifies a finished file: its size and checksum.
struct SnapshotSeal {
  uint64_t bytes = 0;
  uint64_t checksum = 0;
  bool operator==(const SnapshotSeal&) const = default;
};

/// Writes one snapshot file (docs/formats/index-snapshot.md), a mebibyte at a time. Errors (disk full and the like)
/// are kept until finish(). A resource; one thread.
class SnapshotWriter {
 public:
  SnapshotWriter(const std::filesystem::path& path, SnapshotKind kind);
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

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
  void put_string(std::string_view text) {
    put(static_cast<uint32_t>(text.size()));
    put_bytes(text.data(), text.size());
  }
  /// Adds the footer and syncs the file. Errors: unavailable STORAGE_FAILED.
  base::Result<SnapshotSeal> finish();

 private:
  void put_bytes(const void* from, size_t size);
  void flush();
  void write_out(const char* from, size_t size);

  int file_ = -1;
  int error_ = 0;  // the first errno
  uint64_t written_ = 0;
  uint64_t checksum_ = 0;
  std::vector<char> buffer_;
};

/// Reads what a writer put, in the same order. Reading beyond the end, or an absurd count, makes it bad: it then gives
/// zeros and empty arrays. A value over bytes that outlive it.
class SnapshotReader {
 public:
  explicit SnapshotReader(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

  template <class T>
    requires std::is_arithmetic_v<T>
  T get() {
    T value{};
    const std::string_view bytes = take(sizeof value);
    if (good_) bytes.copy(reinterpret_cast<char*>(&value), sizeof value);
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

/// A whole snapshot file mapped into memory, read only.
class MappedFile {
 public:
  /// Errors: not_found SNAPSHOT_MISSING, unavailable STORAGE_FAILED.
  static base::Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();
  [[nodiscard]] std::string_view bytes() const { return {data_, size_}; }

 private:
  MappedFile(const char* data, size_t size) : data_(data), size_(size) {}
  const char* data_;
  size_t size_;
};

/// Checks header, footer and checksum of a whole file and returns what is between. Errors: invalid SNAPSHOT_DAMAGED
/// with the reason in its detail.
base::Result<std::string_view> snapshot_payload(std::string_view file, SnapshotKind kind);
/// The seal of a file whose payload was found sound.
SnapshotSeal snapshot_seal(std::string_view file);
/// A file around a payload, for tests.
std::string snapshot_file(std::string_view payload, SnapshotKind kind);

/// Makes renames and removals in a directory durable. Errors: unavailable STORAGE_FAILED.
base::Result<> sync_directory(const std::filesystem::path& directory);

}  // namespace tessera::index
