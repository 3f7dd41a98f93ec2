#include "index/files/file_store.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <new>
#include <system_error>

#include "base/hash.h"

namespace tessera::index {
namespace {

static_assert(std::endian::native == std::endian::little, "files hold little-endian numbers as they are");

constexpr std::string_view kManifest = "MANIFEST";
constexpr std::string_view kNewManifest = "MANIFEST.new";
constexpr std::string_view kMagic = "TSRMANIF";
constexpr uint32_t kVersion = 2;
constexpr std::string_view kSuffix = ".tsi";
constexpr size_t kPieceBytes = size_t{1} << 20;  // of the checksum's chain
constexpr std::align_val_t kMemoryAlignment{64};

base::Error storage_error(std::string_view name, int error) {
  return base::make_error(base::Code::unavailable, "STORAGE_FAILED", "The index's files could not be written or read.",
                          fmt::format("{}: {}", name, std::generic_category().message(error)));
}

uint64_t chain(std::string_view bytes, uint64_t checksum = 0) {
  for (size_t at = 0; at < bytes.size(); at += kPieceBytes) {
    checksum = base::hash64(bytes.substr(at, kPieceBytes), checksum);
  }
  return checksum;
}

/// The number of a file of this store; 0 for any other name.
uint64_t number_of(std::string_view name) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool ours = error == std::errc() && *end == '-' && name.ends_with(kSuffix);
  return ours ? number : 0;
}

/// Files of the first format; nothing reads them any more.
bool outdated(std::string_view name) {
  return name.starts_with("index.manifest") || (name.starts_with("collection-") && name.ends_with(".idx"));
}

int sync_path(const std::filesystem::path& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) return errno;
  const int error = ::fsync(file) == 0 ? 0 : errno;
  ::close(file);
  return error;
}

struct Mapping {
  const char* data = nullptr;
  uint64_t bytes = 0;
  int error = 0;
};

Mapping map_file(const std::filesystem::path& path) {
  Mapping mapping;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status{};
  if (file < 0 || ::fstat(file, &status) != 0) {
    mapping.error = errno;
  } else if (status.st_size > 0) {
    mapping.bytes = static_cast<uint64_t>(status.st_size);
    void* const at = ::mmap(nullptr, mapping.bytes, PROT_READ, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) {
      mapping.error = errno;
    } else {
      mapping.data = static_cast<const char*>(at);
    }
  }
  if (file >= 0) ::close(file);
  return mapping;
}

}  // namespace

std::unexpected<base::Error> files_damaged(std::string_view file, std::string_view reason) {
  return base::fail(base::Code::invalid, "SNAPSHOT_DAMAGED",
                    "The search index's files are damaged; it is built again from the stored documents.",
                    fmt::format("{}: {}", file, reason));
}

IndexFile::~IndexFile() {
  if (data_ == nullptr) return;
  if (mapped_) {
    ::munmap(const_cast<char*>(data_), entry_.bytes);
  } else {
    ::operator delete(const_cast<char*>(data_), kMemoryAlignment);
  }
}

FileEntry ByteReader::get_entry() {
  FileEntry entry;
  entry.name = get_string();
  entry.bytes = get<uint64_t>();
  entry.checksum = get<uint64_t>();
  return entry;
}

void ByteWriter::put_entry(const FileEntry& entry) {
  put_string(entry.name);
  put(entry.bytes);
  put(entry.checksum);
}

FileWriter::FileWriter(FileStore& store, std::string name) : store_(store), name_(std::move(name)) {
  if (!store_.on_disk()) return;
  file_ = ::open(store_.path(name_).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file_ < 0) error_ = errno;
  buffer_.reserve(kPieceBytes);
}

FileWriter::~FileWriter() {
  if (file_ >= 0) ::close(file_);
  if (!name_.empty()) store_.abandon(name_);
}

void FileWriter::put_bytes(const void* from, size_t size) {
  const char* bytes = static_cast<const char*>(from);
  if (!store_.on_disk()) {
    buffer_.insert(buffer_.end(), bytes, bytes + size);
    return;
  }
  while (size > 0) {
    const size_t count = std::min(size, kPieceBytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes, bytes + count);
    if (buffer_.size() == kPieceBytes) flush();
    bytes += count;
    size -= count;
  }
}

void FileWriter::align(uint64_t alignment) {
  static constexpr char kZeros[4096] = {};
  uint64_t missing = (alignment - position() % alignment) % alignment;
  while (missing > 0) {
    const auto count = std::min<uint64_t>(missing, sizeof kZeros);
    put_bytes(kZeros, count);
    missing -= count;
  }
}

void FileWriter::flush() {
  checksum_ = chain({buffer_.data(), buffer_.size()}, checksum_);
  written_ += buffer_.size();
  const char* from = buffer_.data();
  size_t size = buffer_.size();
  while (size > 0 && error_ == 0) {
    const ssize_t count = ::write(file_, from, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      error_ = count < 0 ? errno : EIO;
      break;
    }
    from += count;
    size -= static_cast<size_t>(count);
  }
  buffer_.clear();
}

base::Result<std::shared_ptr<const IndexFile>> FileWriter::finish() {
  if (!store_.on_disk()) {
    const size_t size = buffer_.size();
    char* const data = static_cast<char*>(::operator new(std::max<size_t>(size, 1), kMemoryAlignment));
    std::ranges::copy(buffer_, data);
    return store_.adopt({std::exchange(name_, {}), size, chain({data, size})}, data, false);
  }
  flush();
  if (file_ >= 0 && ::close(std::exchange(file_, -1)) != 0 && error_ == 0) error_ = errno;
  if (error_ != 0) return std::unexpected(storage_error(name_, error_));
  const Mapping mapping = map_file(store_.path(name_));
  if (mapping.error != 0) return std::unexpected(storage_error(name_, mapping.error));
  return store_.adopt({std::exchange(name_, {}), mapping.bytes, checksum_}, mapping.data, true);
}

std::unique_ptr<FileWriter> FileStore::create(std::string_view kind) {
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    if (next_number_ == 0) {
      next_number_ = 1;
      std::error_code ignored;  // what cannot be listed cannot be created either, and that is reported
      for (const auto& file : std::filesystem::directory_iterator(directory_, ignored)) {
        next_number_ = std::max(next_number_, number_of(file.path().filename().string()) + 1);
      }
    }
    name = fmt::format("{}-{}{}", next_number_++, kind, kSuffix);
    writing_.insert(name);
  }
  return std::unique_ptr<FileWriter>(new FileWriter(*this, std::move(name)));
}

std::shared_ptr<const IndexFile> FileStore::adopt(FileEntry entry, const char* data, bool mapped) {
  const std::shared_ptr<const IndexFile> file(new IndexFile(std::move(entry), data, mapped));
  const std::lock_guard lock(mutex_);
  writing_.erase(file->entry().name);
  held_[file->entry().name] = file;
  return file;
}

void FileStore::abandon(const std::string& name) {
  std::error_code ignored;  // the next commit tries again
  if (on_disk()) std::filesystem::remove(path(name), ignored);
  const std::lock_guard lock(mutex_);
  writing_.erase(name);
}

base::Result<std::shared_ptr<const IndexFile>> FileStore::open(const FileEntry& entry, Verify verify) {
  if (number_of(entry.name) == 0 || entry.name.find('/') != std::string::npos) {
    return files_damaged(entry.name, "not a name of an index file");
  }
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = held_.find(entry.name); at != held_.end()) {
      if (auto file = at->second.lock(); file != nullptr && file->entry() == entry) return file;
    }
  }
  const Mapping mapping = map_file(path(entry.name));
  if (mapping.error == ENOENT) return files_damaged(entry.name, "it is missing");
  if (mapping.error != 0) return std::unexpected(storage_error(entry.name, mapping.error));
  auto file = adopt({entry.name, mapping.bytes, entry.checksum}, mapping.data, true);
  if (mapping.bytes != entry.bytes) return files_damaged(entry.name, "it has another size than the manifest says");
  if (verify == Verify::now) {
    if (chain(file->bytes()) != entry.checksum) return files_damaged(entry.name, "its checksum is wrong");
    return file;
  }
  const std::lock_guard lock(mutex_);
  unverified_.push_back(file);
  return file;
}

base::Result<bool> FileStore::verify_next() {
  std::shared_ptr<const IndexFile> file;
  {
    const std::lock_guard lock(mutex_);
    while (file == nullptr && !unverified_.empty()) {
      file = unverified_.back().lock();
      unverified_.pop_back();
    }
  }
  if (file == nullptr) return false;
  if (chain(file->bytes()) != file->entry().checksum) return files_damaged(file->entry().name, "its checksum is wrong");
  return true;
}

base::Result<std::string> FileStore::read_manifest() {
  if (!on_disk()) return std::string();
  const Mapping mapping = map_file(path(std::string(kManifest)));
  if (mapping.error == ENOENT) {
    const std::lock_guard lock(mutex_);
    remove_unnamed();
    return std::string();
  }
  if (mapping.error != 0) return std::unexpected(storage_error(kManifest, mapping.error));
  const IndexFile file({std::string(kManifest), mapping.bytes, 0}, mapping.data, true);
  ByteReader reader(file.bytes());
  if (reader.take(kMagic.size()) != kMagic) return files_damaged(kManifest, "it is no manifest of an index");
  if (reader.get<uint32_t>() != kVersion) return files_damaged(kManifest, "it has another version");
  const auto names = reader.get<uint32_t>();
  std::set<std::string> named;
  for (uint32_t i = 0; i < names && reader.good(); ++i) named.emplace(reader.get_string());
  const auto bytes = reader.get<uint64_t>();
  const std::string payload(reader.take(bytes));
  const auto checksum = reader.get<uint64_t>();
  if (!reader.good() || !reader.at_end()) return files_damaged(kManifest, "it is cut short");
  if (chain(file.bytes().substr(0, file.bytes().size() - sizeof checksum)) != checksum) {
    return files_damaged(kManifest, "its checksum is wrong");
  }
  const std::lock_guard lock(mutex_);
  named_ = std::move(named);
  remove_unnamed();
  return payload;
}

base::Result<> FileStore::commit(std::string_view payload, const std::vector<FileEntry>& entries) {
  if (!on_disk()) return {};
  ByteWriter manifest;
  manifest.put_array(std::span(kMagic));
  manifest.put(kVersion);
  manifest.put(static_cast<uint32_t>(entries.size()));
  std::set<std::string> named;
  for (const FileEntry& entry : entries) {
    manifest.put_string(entry.name);
    named.insert(entry.name);
  }
  manifest.put(uint64_t{payload.size()});
  manifest.put_array(std::span(payload));
  manifest.put(chain(manifest.bytes()));

  const std::lock_guard lock(mutex_);
  for (const std::string& name : named) {
    if (named_.contains(name)) continue;
    if (const int error = sync_path(path(name), O_RDONLY); error != 0) {
      return std::unexpected(storage_error(name, error));
    }
  }
  const std::filesystem::path fresh = path(std::string(kNewManifest));
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(storage_error(kNewManifest, errno));
  std::string_view rest = manifest.bytes();
  int error = 0;
  while (!rest.empty() && error == 0) {
    const ssize_t count = ::write(file, rest.data(), rest.size());
    if (count > 0) {
      rest.remove_prefix(static_cast<size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      error = count == 0 ? EIO : errno;
    }
  }
  if (error == 0 && ::fsync(file) != 0) error = errno;
  ::close(file);
  // The files' names must be durable before a manifest names them.
  if (error == 0) error = sync_path(directory_, O_RDONLY | O_DIRECTORY);
  if (error == 0 && ::rename(fresh.c_str(), path(std::string(kManifest)).c_str()) != 0) error = errno;
  if (error == 0) error = sync_path(directory_, O_RDONLY | O_DIRECTORY);
  if (error != 0) return std::unexpected(storage_error(kNewManifest, error));
  named_ = std::move(named);
  remove_unnamed();
  return {};
}

void FileStore::remove_unnamed() {
  std::erase_if(held_, [](const auto& entry) { return entry.second.expired(); });
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(directory_, error)) {
    const std::string name = file.path().filename().string();
    const bool kept = named_.contains(name) || writing_.contains(name) || held_.contains(name);
    std::error_code ignored;  // a left-over file costs space only; the next commit tries again
    if ((number_of(name) != 0 && !kept) || outdated(name)) std::filesystem::remove(file.path(), ignored);
  }
}

void FileStore::remove_all() {
  if (!on_disk()) return;
  const std::lock_guard lock(mutex_);
  std::error_code ignored;
  std::filesystem::remove(path(std::string(kManifest)), ignored);
  named_.clear();
  remove_unnamed();
}

}  // namespace tessera::index
