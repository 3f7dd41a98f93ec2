#include "wire/http_client.h"

#include <curl/curl.h>

#include <boost/asio/execution_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <map>
#include <tuple>
#include <utility>

#include "wire/curl_engine.h"
#include "wire/plain_transfer.h"

namespace tessera::wire {

namespace asio = boost::asio;
using base::Result;

namespace {

/// The engines of one event loop; the loop owns this and shuts it down. One engine for each client and address policy:
/// a connection made under one policy is never reused under the other.
class EngineService : public asio::execution_context::service {
 public:
  using key_type = EngineService;
  static asio::execution_context::id id;

  explicit EngineService(asio::execution_context& context)
      : asio::execution_context::service(context), context_(static_cast<asio::io_context&>(context)) {}

  // By the options' address, which the entry keeps alive and so unique.
  template <class Engine>
  std::shared_ptr<Engine> engine(const std::shared_ptr<const HttpClientOptions>& options, AddressPolicy addresses) {
    auto& engine = std::get<Engines<Engine>>(engines_)[{options, addresses}];
    if (!engine) engine = std::make_shared<Engine>(context_, options);
    return engine;
  }

 private:
  template <class Engine>
  using Engines = std::map<std::pair<std::shared_ptr<const HttpClientOptions>, AddressPolicy>, std::shared_ptr<Engine>>;

  void shutdown() override {
    const auto end = [](auto& engines) {
      for (const auto& [key, engine] : engines) engine->shut_down();
      engines.clear();
    };
    end(std::get<Engines<CurlEngine>>(engines_));
    end(std::get<Engines<PlainEngine>>(engines_));
  }

  asio::io_context& context_;
  std::tuple<Engines<CurlEngine>, Engines<PlainEngine>> engines_;
};

asio::execution_context::id EngineService::id;

std::optional<std::string_view> find(const std::vector<Header>& headers, std::string_view name) {
  for (const auto& header : headers) {
    if (equal_nocase(header.name, name)) return header.value;
  }
  return std::nullopt;
}

template <class Transfer>
class TransferStream final : public ClientStream {
 public:
  template <class... Args>
  explicit TransferStream(Args&&... args) : transfer_(std::forward<Args>(args)...) {}
  [[nodiscard]] async::Task<Result<void>> start() { return transfer_.start(); }
  [[nodiscard]] int status() const override { return transfer_.status(); }
  [[nodiscard]] const std::vector<Header>& headers() const override { return transfer_.headers(); }
  [[nodiscard]] std::vector<Header>& headers() { return transfer_.headers(); }
  [[nodiscard]] async::Task<Result<std::optional<std::string>>> next() override { return transfer_.next(); }
  void set_idle_timeout(base::Millis timeout) override { transfer_.set_idle_timeout(timeout); }

 private:
  // mutable: transfers give their headers away to fetch
  mutable Transfer transfer_;
};

template <class Transfer>
async::Task<Result<std::unique_ptr<ClientStream>>> opened(std::unique_ptr<TransferStream<Transfer>> stream) {
  TESSERA_CO_CHECK(co_await stream->start());
  co_return stream;
}

template <class Transfer>
async::Task<Result<ClientResponse>> fetched(std::unique_ptr<TransferStream<Transfer>> stream) {
  TESSERA_CO_CHECK(co_await stream->start());
  ClientResponse response{.status = stream->status(), .headers = std::move(stream->headers()), .body = {}};
  while (true) {
    TESSERA_CO_TRY(auto piece, co_await stream->next());
    if (!piece) co_return response;
    if (response.body.empty()) {
      response.body = *std::move(piece);
    } else {
      response.body += *piece;
    }
  }
}

/// Whether libcurl would find a proxy for http:// in the environment. Asked through libcurl, whose reading it is.
bool environment_names_proxy() {
  for (const char* name : {"http_proxy", "all_proxy", "ALL_PROXY"}) {
    char* value = curl_getenv(name);
    const bool set = value != nullptr && *value != '\0';
    curl_free(value);
    if (set) return true;
  }
  return false;
}

EngineService& service_of(const asio::any_io_executor& executor) {
  return asio::use_service<EngineService>(asio::query(executor, asio::execution::context));
}

}  // namespace

std::optional<std::string_view> ClientResponse::header(std::string_view name) const {
  return find(headers, name);
}
std::optional<std::string_view> ClientStream::header(std::string_view name) const {
  return find(headers(), name);
}

HttpClient::HttpClient(HttpClientOptions options)
    : options_(std::make_shared<const HttpClientOptions>(std::move(options))), proxied_(environment_names_proxy()) {
  curl_global_init(CURL_GLOBAL_DEFAULT);  // counts its calls, and is thread-safe from 7.84 on
}

HttpClient::~HttpClient() = default;

bool HttpClient::goes_plain(const ClientRequest& request) const {
  if (!options_->own_connections || !split_plain_url(request.url)) return false;
  // No proxy's loopback is this machine's, and a proxy would connect in our place, unjudged.
  return !proxied_ || request.addresses == AddressPolicy::public_only || request.url.starts_with("http://127.");
}

async::Task<Result<std::unique_ptr<ClientStream>>> HttpClient::open(ClientRequest request) {
  auto& service = service_of(co_await asio::this_coro::executor);
  const auto addresses = request.addresses;
  if (goes_plain(request)) {
    co_return co_await opened(std::make_unique<TransferStream<PlainTransfer>>(
        service.engine<PlainEngine>(options_, addresses), std::move(request)));
  }
  co_return co_await opened(std::make_unique<TransferStream<CurlTransfer>>(
      service.engine<CurlEngine>(options_, addresses), std::move(request)));
}

async::Task<Result<ClientResponse>> HttpClient::fetch(ClientRequest request) {
  auto& service = service_of(co_await asio::this_coro::executor);
  const auto addresses = request.addresses;
  if (goes_plain(request)) {
    co_return co_await fetched(std::make_unique<TransferStream<PlainTransfer>>(
        service.engine<PlainEngine>(options_, addresses), std::move(request)));
  }
  co_return co_await fetched(std::make_unique<TransferStream<CurlTransfer>>(
      service.engine<CurlEngine>(options_, addresses), std::move(request)));
}

}  // namespace tessera::wire
