#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace tessera::app {

/// Says where the server that owns a data directory listens, so that commands find it: DIRECTORY/server.json, written
/// when it listens and removed when it stops. A note left by a killed server is recognised by its dead process.
class ServerNote {
 public:
  /// Errors: unavailable SERVER_NOTE (cannot be written).
  static base::Result<ServerNote> write(const std::string& directory, const std::string& url);
  ~ServerNote();
  ServerNote(ServerNote&& other) noexcept;
  ServerNote& operator=(ServerNote&&) = delete;

  /// The URL of a server whose process is alive; nothing otherwise.
  static std::optional<std::string> find(const std::string& directory);

 private:
  explicit ServerNote(std::string path);
  std::string path_;
};

}  // namespace tessera::app
