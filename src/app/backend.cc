#include "app/backend.h"

#include <fmt/format.h>

#include "app/server_note.h"

namespace tessera::app {

base::Result<std::unique_ptr<Backend>> open_backend(const Invocation& invocation, const config::Snapshot& settings,
                                                    base::Logger& log) {
  if (!invocation.server.empty()) {
    if (!server_answers(invocation.server)) {
      return base::fail(base::Code::unavailable, "SERVER_UNREACHABLE",
                        fmt::format("no Tessera answers at {}; start one with `tessera serve`, or leave --server out",
                                    invocation.server));
    }
    return open_remote_backend(invocation.server, invocation.api_key);
  }
  if (settings->storage.backend != "memory") {
    const auto url = ServerNote::find(settings->storage.directory);
    if (url && server_answers(*url)) return open_remote_backend(*url, invocation.api_key);
  }
  auto local = open_local_backend(settings, log);
  if (!local && local.error().name == "DATABASE_IN_USE") {
    base::Error error = std::move(local).error();
    error.message += " If that is a Tessera server, name it with --server URL.";
    return std::unexpected(std::move(error));
  }
  return local;
}

}  // namespace tessera::app
