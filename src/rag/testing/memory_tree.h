#pragma once

#include <map>
#include <mutex>
#include <string>

#include "async/event.h"
#include "rag/file_tree.h"

namespace tessera::rag::testing {

/// Files in a map, below one root.
class MemoryTree final : public FileTree {
 public:
  class Watch final : public TreeWatch {
   public:
    explicit Watch(async::Doorbell& bell) : bell_(bell) {}
    async::Task<async::Wake> changed(async::WaitBounds bounds) override {
      co_return co_await bell_.wait(std::move(bounds));
    }
    [[nodiscard]] bool covers_everything() const override { return true; }

   private:
    async::Doorbell& bell_;
  };

  base::Result<std::string> canonical_directory(const std::string& path) override {
    if (path == "/link" || path == "/vault/../secret") return std::string("/secret");
    if (path.starts_with("/vault") || path == "/secret") return path;
    return base::fail(base::Code::not_found, "DIRECTORY_NOT_FOUND", "There is no such directory.");
  }
  base::Result<WalkResult> walk(const std::string&, const WalkBounds&,
                                const std::function<bool(std::string_view)>& wanted,
                                const async::CancelToken&) override {
    const std::lock_guard lock(mutex_);
    if (gone_) return base::fail(base::Code::not_found, "DIRECTORY_NOT_FOUND", "The directory is gone.");
    WalkResult result;
    result.complete = complete_;
    for (const auto& [path, file] : files_) {
      if (!wanted(path)) continue;
      result.files.push_back({path, static_cast<int64_t>(file.text.size()), file.modified_ns, file.stamp});
    }
    return result;
  }
  base::Result<std::string> read(const std::string&, const std::string& path, int64_t) override {
    const std::lock_guard lock(mutex_);
    ++reads_;
    const auto it = files_.find(path);
    if (it == files_.end()) return base::fail(base::Code::not_found, "FILE_NOT_FOUND", "The file is gone.");
    if (it->second.unreadable) return base::fail(base::Code::forbidden, "FILE_UNREADABLE", "The file cannot be read.");
    return it->second.text;
  }
  base::Result<std::unique_ptr<TreeWatch>> watch(const std::string&, const WalkBounds&) override {
    return std::make_unique<Watch>(bell_);
  }

  void write(const std::string& path, std::string text) {
    const std::lock_guard lock(mutex_);
    files_[path] = {std::move(text), ++stamp_};
    bell_.ring();
  }
  /// Another content that the file's times do not tell of.
  void rewrite_unseen(const std::string& path, std::string text) {
    const std::lock_guard lock(mutex_);
    files_.at(path).text = std::move(text);
  }
  void set_modified(const std::string& path, int64_t ns) {
    const std::lock_guard lock(mutex_);
    files_.at(path).modified_ns = ns;
  }
  void set_unreadable(const std::string& path) {
    const std::lock_guard lock(mutex_);
    files_.at(path).unreadable = true;
  }
  void remove(const std::string& path) {
    const std::lock_guard lock(mutex_);
    files_.erase(path);
    bell_.ring();
  }
  void set_complete(bool complete) {
    const std::lock_guard lock(mutex_);
    complete_ = complete;
  }
  void set_gone(bool gone) {
    const std::lock_guard lock(mutex_);
    gone_ = gone;
  }
  int reads() {
    const std::lock_guard lock(mutex_);
    return reads_;
  }
  std::map<std::string, std::string> files() {
    const std::lock_guard lock(mutex_);
    std::map<std::string, std::string> out;
    for (const auto& [path, file] : files_) out[path] = file.text;
    return out;
  }

 private:
  struct File {
    std::string text;
    uint64_t stamp = 0;
    int64_t modified_ns = 0;
    bool unreadable = false;
  };

  std::mutex mutex_;
  std::map<std::string, File> files_;  // guarded by mutex_, as all below
  uint64_t stamp_ = 0;
  int reads_ = 0;
  bool complete_ = true;
  bool gone_ = false;
  async::Doorbell bell_;
};

}  // namespace tessera::rag::testing
