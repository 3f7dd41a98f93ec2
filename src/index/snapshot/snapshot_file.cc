#include "index/snapshot/snapshot_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "base/hash.h"

namespace tessera::index {
namespace {

static_assert(std::endian::native == std::endian::little, "snapshots hold little-endian numbers as they are");

constexpr std::string_view kMagic = "TSRINDEX";
constexpr size_t kHeaderBytes = 16;
constexpr size_t kFooterBytes = 16;
constexpr size_t kHashBytes = size_t{1} << 20;  // the checksum is a chain over pieces of this size

base::Error storage_error(int error) {
  return base::make_error(base::Code::unavailable, "STORAGE_FAILED", "The index snapshot could not be written or read.",
                          std::generic_category().message(error));
}

std::unexpected<base::Error> damaged(std::string_view reason) {
  return base::fail(base::Code::invalid, "SNAPSHOT_DAMAGED", "The index snapshot is damaged.", std::string(reason));
}

std::string header(SnapshotKind kind) {
  std::string out(kMagic);
  const uint32_t version = kSnapshotVersion;
  const auto number = static_cast<uint32_t>(kind);
  out.append(reinterpret_cast<const char*>(&version), sizeof version);
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
  return out;
}

/// Of header and payload.
uint64_t chain(std::string_view bytes) {
  uint64_t checksum = 0;
  for (size_t at = 0; at < bytes.size(); at += kHashBytes) {
    checksum = base::hash64(bytes.substr(at, kHashBytes), checksum);
  }
  return checksum;
}

/// The footer: the number of bytes before it, and the checksum that covers them and that number.
std::pair<uint64_t, uint64_t> read_footer(std::string_view file) {
  std::pair<uint64_t, uint64_t> footer;
  const char* const at = file.data() + file.size() - kFooterBytes;
  std::memcpy(&footer.first, at, sizeof footer.first);
  std::memcpy(&footer.second, at + sizeof footer.first, sizeof footer.second);
  return footer;
}

uint64_t seal_checksum(uint64_t checksum, uint64_t bytes) {
  return base::hash64({reinterpret_cast<const char*>(&bytes), sizeof bytes}, checksum);
}

}  // namespace

SnapshotWriter::SnapshotWriter(const std::filesystem::path& path, SnapshotKind kind) {
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file_ < 0) error_ = errno;
  buffer_.reserve(kHashBytes);
  const std::string start = header(kind);
  put_bytes(start.data(), start.size());
}

SnapshotWriter::~SnapshotWriter() {
  if (file_ >= 0) ::close(file_);
}

void SnapshotWriter::put_bytes(const void* from, size_t size) {
  const char* bytes = static_cast<const char*>(from);
  while (size > 0) {
    const size_t count = std::min(size, kHashBytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes, bytes + count);
    if (buffer_.size() == kHashBytes) flush();
    bytes += count;
    size -= count;
  }
}

void SnapshotWriter::flush() {
  if (buffer_.empty()) return;
  checksum_ = base::hash64({buffer_.data(), buffer_.size()}, checksum_);
  written_ += buffer_.size();
  write_out(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void SnapshotWriter::write_out(const char* from, size_t size) {
  while (size > 0 && error_ == 0) {
    const ssize_t count = ::write(file_, from, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      error_ = count < 0 ? errno : EIO;
      return;
    }
    from += count;
    size -= static_cast<size_t>(count);
  }
}

base::Result<SnapshotSeal> SnapshotWriter::finish() {
  flush();
  const uint64_t footer[2] = {written_, seal_checksum(checksum_, written_)};
  write_out(reinterpret_cast<const char*>(footer), sizeof footer);
  if (error_ == 0 && ::fsync(file_) != 0) error_ = errno;
  if (file_ >= 0 && ::close(std::exchange(file_, -1)) != 0 && error_ == 0) error_ = errno;
  if (error_ != 0) return std::unexpected(storage_error(error_));
  return SnapshotSeal{written_ + kFooterBytes, footer[1]};
}

base::Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno != ENOENT) return std::unexpected(storage_error(errno));
    return base::fail(base::Code::not_found, "SNAPSHOT_MISSING", "There is no such index snapshot.");
  }
  struct stat status = {};
  const bool known = ::fstat(file, &status) == 0;
  const auto size = known ? static_cast<size_t>(status.st_size) : 0;
  void* data = nullptr;
  if (size > 0) data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
  const int error = errno;
  ::close(file);
  if (!known || data == MAP_FAILED) return std::unexpected(storage_error(error));
  return MappedFile(static_cast<const char*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

base::Result<std::string_view> snapshot_payload(std::string_view file, SnapshotKind kind) {
  if (file.size() < kHeaderBytes + kFooterBytes) return damaged("too short");
  if (file.substr(0, kHeaderBytes) != header(kind)) return damaged("not a snapshot of this kind and version");
  const std::string_view sealed = file.substr(0, file.size() - kFooterBytes);
  const auto [bytes, checksum] = read_footer(file);
  if (bytes != sealed.size()) return damaged("the size is not as recorded");
  if (seal_checksum(chain(sealed), bytes) != checksum) return damaged("the checksum does not match");
  return sealed.substr(kHeaderBytes);
}

SnapshotSeal snapshot_seal(std::string_view file) {
  return {file.size(), read_footer(file).second};
}

std::string snapshot_file(std::string_view payload, SnapshotKind kind) {
  std::string out = header(kind);
  out += payload;
  const uint64_t footer[2] = {out.size(), seal_checksum(chain(out), out.size())};
  out.append(reinterpret_cast<const char*>(footer), sizeof footer);
  return out;
}

base::Result<> sync_directory(const std::filesystem::path& directory) {
  const int file = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return std::unexpected(storage_error(errno));
  const bool synced = ::fsync(file) == 0;
  const int error = errno;
  ::close(file);
  if (!synced) return std::unexpected(storage_error(error));
  return {};
}

}  // namespace tessera::index
