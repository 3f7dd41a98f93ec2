#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "app/engine.h"

namespace tessera::app {

/// The HTTP server over an engine: listens, answers, resumes watching directories. Blocking to create and stop; not
/// from a shard. The engine outlives it; stop it before the engine.
class Server {
 public:
  /// Listens when it returns. Errors: unavailable LISTEN_FAILED, invalid BAD_ADDRESS.
  static base::Result<std::unique_ptr<Server>> start(Engine& engine);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] uint16_t port() const;
  /// "http://127.0.0.1:8080"
  [[nodiscard]] std::string url() const;
  /// Stops accepting, lets requests finish for `grace`, then cuts them. True when nothing was cut. Idempotent.
  bool stop(base::Millis grace);

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace tessera::app
