#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/limiter.h"
#include "base/clock.h"
#include "base/random.h"
#include "core/context.h"
#include "llm/providers/provider_kinds.h"
#include "wire/http_client.h"

namespace tessera::llm {

/// Where an OpenAI-compatible provider lives and how patient to be with it. `api_key` is sent as a bearer token and
/// never logged nor put into an error.
struct ProviderOptions {
  std::string name = "openai";
  const ProviderKind* kind = &openai_kind();           ///< how it wants to be spoken to
  std::string base_url = "https://api.openai.com/v1";  ///< up to and including the version; empty: the kind's
  std::string api_key;
  std::vector<std::string> models;  ///< chat models; empty: any name is passed on
  std::string api_version;          ///< of a kind that wants one; empty: the kind's
  std::string upstream_model;       ///< stands in every request, whatever it asks for; empty: what it asks for
  std::vector<std::pair<std::string, std::string>> headers;  ///< sent with every request
  base::Millis connect_timeout{10'000};
  base::Millis first_token_timeout{30'000};
  base::Millis idle_timeout{30'000};
  base::Millis total_timeout{120'000};
  int64_t attempts_max = 3;
  base::Millis backoff_min{2'000};  ///< before the second try; doubles up to backoff_max
  base::Millis backoff_max{10'000};
  size_t concurrent_max = 64;
  size_t waiting_max = 256;
  wire::AddressPolicy addresses = wire::AddressPolicy::any;
  std::function<void()> on_retry;  ///< called before each further try, on the caller's thread; may be empty

  /// A path of the kind, as provider_path.
  [[nodiscard]] std::string path(std::string_view of, std::string_view model) const {
    return provider_path(*kind, of, model, api_version);
  }
};

/// What a provider's error response means to us. `message` is the provider's own where it speaks of the request, ours
/// otherwise. `retry_after` as it asked. Pure.
base::Error provider_error(std::string_view provider, int status, std::string_view body,
                           std::optional<base::Millis> retry_after);

/// Takes the key out of what a provider said: providers like to repeat a key they refuse, and it must not travel on.
void remove_secret(std::string& text, std::string_view secret);

/// The pause that response headers ask for: `retry-after-ms`, `Retry-After` in seconds or as a date.
std::optional<base::Millis> retry_after_of(const std::vector<wire::Header>& headers, int64_t unix_ms);

/// Talks to one provider: at most concurrent_max calls at once, tries again after rate limits, lost connections and
/// timeouts, but only until the head of a good response is in; pauses grow exponentially with jitter, honour
/// Retry-After and never outlive the request's deadline. Thread-safe. Cancelling the context closes the connection.
/// Errors: invalid PROVIDER_REFUSED / CONTENT_FILTERED / CONTEXT_TOO_LONG / PROVIDER_MODEL_MISSING, upstream
/// PROVIDER_AUTH / PROVIDER_FAILED / PROVIDER_UNUSABLE / STREAM_BROKEN, exhausted PROVIDER_RATE_LIMIT / PROVIDER_QUOTA
/// / TOO_MANY_WAITING, unavailable PROVIDER_UNAVAILABLE, deadline PROVIDER_TIMEOUT / DEADLINE, cancelled.
class ProviderClient {
 public:
  ProviderClient(ProviderOptions options, std::shared_ptr<wire::HttpClient> http, const base::Clock& clock,
                 base::Random& random);

  /// A response being read, and the right to be among the concurrent calls.
  struct Stream {
    async::Limiter::Permit permit;
    std::unique_ptr<wire::ClientStream> body;
  };

  [[nodiscard]] const ProviderOptions& options() const { return options_; }
  [[nodiscard]] const base::Clock& clock() const { return clock_; }
  /// The name under which the provider knows what a request calls `model`: options().upstream_model, else `model`
  /// without "NAME/" of this provider before it. Valid as long as both.
  [[nodiscard]] std::string_view upstream_name(std::string_view model) const;

  /// The body of a 2xx response to `path` ("/chat/completions"). `method` empty: a GET when `body` is, else a POST.
  core::Task<base::Result<std::string>> call(const core::RequestContext& context, std::string path, std::string body,
                                             std::string method = {});
  /// A 2xx response whose body is read in pieces.
  core::Task<base::Result<Stream>> open(const core::RequestContext& context, std::string path, std::string body,
                                        std::string content_type = "application/json", std::string method = {});
  /// What an error of the transport means while a body is read.
  [[nodiscard]] base::Error broken(const core::RequestContext& context, base::Error error) const;

 private:
  struct Outgoing {
    std::string path;
    std::string body;
    std::string content_type;
    std::string method;
  };
  [[nodiscard]] base::Result<wire::ClientRequest> prepare(const core::RequestContext& context,
                                                          const Outgoing& outgoing) const;
  core::Task<base::Result<Stream>> try_once(const core::RequestContext& context, const Outgoing& outgoing);
  /// Nothing when the error is final, else how long to wait before the next attempt.
  [[nodiscard]] std::optional<base::Millis> pause_before_retry(const core::RequestContext& context,
                                                               const base::Error& error, int64_t attempt) const;

  ProviderOptions options_;
  std::shared_ptr<wire::HttpClient> http_;
  const base::Clock& clock_;
  base::Random& random_;
  async::Limiter limiter_;
};

}  // namespace tessera::llm
