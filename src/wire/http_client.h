#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "async/cancel.h"
#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"
#include "wire/http_types.h"

namespace tessera::wire {

/// Where a request may connect to. public_only refuses private, loopback, link-local, shared (CGNAT), multicast and
/// reserved addresses, v4-mapped ones included, judged on the address the socket is about to connect to, so a name that
/// resolves differently twice gains nothing. It also ignores proxies.
enum class AddressPolicy { any, public_only };

/// Whether public_only allows a numeric address.
bool is_public_address(std::string_view address);

struct ClientRequest {
  std::string method = "GET";
  std::string url = {};  ///< http or https
  std::vector<Header> headers = {};
  std::string body = {};
  base::Millis connect_timeout{5'000};
  base::Millis first_byte_timeout{60'000};  ///< from the start to the first byte of the response head
  base::Millis idle_timeout{60'000};        ///< between two pieces of the body while we want more
  base::Millis total_timeout{300'000};
  uint64_t body_bytes_max = 32ULL * 1024 * 1024;  ///< of the response; a stream counts too
  AddressPolicy addresses = AddressPolicy::any;
  async::CancelToken cancel = {};
};

struct ClientResponse {
  int status = 0;
  std::vector<Header> headers = {};
  std::string body = {};
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
};

/// The body of a response, in pieces as they come. Destroying it aborts the transfer. Used on the executor that opened
/// it.
class ClientStream {
 public:
  virtual ~ClientStream() = default;
  [[nodiscard]] virtual int status() const = 0;
  [[nodiscard]] virtual const std::vector<Header>& headers() const = 0;
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
  /// What came since the last call (at least one byte), or nothing at the orderly end. One caller at a time. A slow
  /// caller pauses the sender. Errors as for fetch; upstream RESPONSE_CUT when the peer closed in the middle.
  [[nodiscard]] virtual async::Task<base::Result<std::optional<std::string>>> next() = 0;
  /// Changes how long the next calls wait for something to come.
  virtual void set_idle_timeout(base::Millis timeout) = 0;
};

struct HttpClientOptions {
  std::string user_agent = "tessera";
  size_t connections_max = 256;             ///< kept and in use, per event loop
  size_t connections_per_host_max = 0;      ///< 0: no bound of its own
  size_t stream_buffer_bytes = 256 * 1024;  ///< a stream is paused beyond this
  std::string ca_file = {};                 ///< PEM, trusted beside the system's; empty: none
  bool own_connections = true;              ///< for http:// without a proxy; false: libcurl for all
};

/// An HTTP/1.1 and HTTP/2 client that runs on the event loop of the caller: each io_context gets its own connection
/// pool, lazily, so there is no thread hop and no lock. The io_context must be run by one thread. Plain http:// goes
/// over connections of our own, https and proxies over libcurl (ADR 0010); callers cannot tell. TLS certificates are
/// always verified; redirects are never followed (a 3xx with Location is forbidden REDIRECT_REFUSED under public_only,
/// else upstream UPSTREAM_REDIRECT); proxies come from the environment. A pooled connection that dies before the first
/// byte is retried once. HTTP statuses are not errors. Errors: invalid BAD_URL, unavailable CONNECT_FAILED /
/// CONNECTION_LOST, deadline UPSTREAM_TIMEOUT, cancelled CANCELLED, upstream BAD_RESPONSE / TLS_FAILED, forbidden
/// PRIVATE_ADDRESS, too_large RESPONSE_TOO_LARGE. Coroutines that use it end before the io_context does.
class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// The whole response.
  [[nodiscard]] async::Task<base::Result<ClientResponse>> fetch(ClientRequest request);
  /// Ready when the response's head is in.
  [[nodiscard]] async::Task<base::Result<std::unique_ptr<ClientStream>>> open(ClientRequest request);

 private:
  [[nodiscard]] bool goes_plain(const ClientRequest& request) const;

  std::shared_ptr<const HttpClientOptions> options_;
  bool proxied_ = false;  ///< the environment names a proxy for http://
};

}  // namespace tessera::wire
