#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "async/event.h"
#include "async/run_blocking.h"
#include "base/clock.h"
#include "base/random.h"
#include "llm/providers/provider_client.h"
#include "wire/http_server.h"

namespace tessera::llm::testing {

/// What a provider in a test received.
struct Received {
  std::string path;
  std::string body;
  std::string authorization;
  std::string extra_header;
  std::string query;
  std::string key_header;  ///< api-key, x-api-key or x-goog-api-key
  std::string content_type;
};

/// What it answers with: the body in pieces (a stream when there is more than one), then an orderly end, a cut
/// connection, or silence until the client leaves.
struct Scripted {
  enum class End { orderly, cut, silence };
  int status = 200;
  std::vector<std::string> pieces;
  std::vector<wire::Header> headers;
  End end = End::orderly;
};

/// A provider on a loopback port that answers the n-th request with the n-th script (the last one repeats).
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<Scripted> scripts);
  ~ScriptedServer();

  /// Options that point at it, impatient and without long pauses.
  [[nodiscard]] ProviderOptions options() const;
  [[nodiscard]] std::shared_ptr<ProviderClient> client() const { return client(options()); }
  [[nodiscard]] std::shared_ptr<ProviderClient> client(ProviderOptions options) const;
  [[nodiscard]] std::vector<Received> received() const;
  /// Waits (bounded) until a client left an unfinished answer.
  [[nodiscard]] bool client_left();
  void restart(std::vector<Scripted> scripts);

 private:
  async::Task<void> serve(wire::Request& request, wire::ResponseWriter& writer);

  base::SystemClock clock_;
  mutable base::SeededRandom random_{1};
  mutable std::mutex mutex_;
  std::vector<Scripted> scripts_;   // guarded by mutex_
  std::vector<Received> received_;  // guarded by mutex_
  size_t turn_ = 0;                 // guarded by mutex_
  async::Event left_;
  std::shared_ptr<wire::HttpClient> http_;
  async::Shards shards_{1};
  std::unique_ptr<wire::HttpServer> server_;
};

/// An event-stream of the given data lines.
std::string sse(const std::vector<std::string>& data);

}  // namespace tessera::llm::testing
