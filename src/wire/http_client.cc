#include "wire/http_client.h"

#include <curl/curl.h>

#include <boost/asio/execution_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <map>
#include <utility>

#include "wire/curl_engine.h"

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

  std::shared_ptr<CurlEngine> engine(const std::shared_ptr<const HttpClientOptions>& options, AddressPolicy addresses) {
    auto& engine = engines_[{options, addresses}];
    if (!engine) engine = std::make_shared<CurlEngine>(context_, options);
    return engine;
  }

 private:
  void shutdown() override {
    for (const auto& [key, engine] : engines_) engine->shut_down();
    engines_.clear();
  }

  asio::io_context& context_;
  // Keyed by the options' address, which the key keeps alive and so unique.
  std::map<std::pair<std::shared_ptr<const HttpClientOptions>, AddressPolicy>, std::shared_ptr<CurlEngine>> engines_;
};

asio::execution_context::id EngineService::id;

std::optional<std::string_view> find(const std::vector<Header>& headers, std::string_view name) {
  for (const auto& header : headers) {
    if (equal_nocase(header.name, name)) return header.value;
  }
  return std::nullopt;
}

class CurlStream final : public ClientStream {
 public:
  explicit CurlStream(std::unique_ptr<CurlTransfer> transfer) : transfer_(std::move(transfer)) {}
  [[nodiscard]] int status() const override { return transfer_->status(); }
  [[nodiscard]] const std::vector<Header>& headers() const override { return transfer_->headers(); }
  [[nodiscard]] async::Task<Result<std::optional<std::string>>> next() override { return transfer_->next(); }
  void set_idle_timeout(base::Millis timeout) override { transfer_->set_idle_timeout(timeout); }

 private:
  std::unique_ptr<CurlTransfer> transfer_;
};

}  // namespace

std::optional<std::string_view> ClientResponse::header(std::string_view name) const {
  return find(headers, name);
}
std::optional<std::string_view> ClientStream::header(std::string_view name) const {
  return find(headers(), name);
}

HttpClient::HttpClient(HttpClientOptions options)
    : options_(std::make_shared<const HttpClientOptions>(std::move(options))) {
  curl_global_init(CURL_GLOBAL_DEFAULT);  // counts its calls, and is thread-safe from 7.84 on
}

HttpClient::~HttpClient() = default;

async::Task<Result<std::unique_ptr<ClientStream>>> HttpClient::open(ClientRequest request) {
  const auto executor = co_await asio::this_coro::executor;
  auto& service = asio::use_service<EngineService>(asio::query(executor, asio::execution::context));
  const auto addresses = request.addresses;
  auto transfer = std::make_unique<CurlTransfer>(service.engine(options_, addresses), std::move(request));
  TESSERA_CO_CHECK(co_await transfer->start());
  co_return std::make_unique<CurlStream>(std::move(transfer));
}

async::Task<Result<ClientResponse>> HttpClient::fetch(ClientRequest request) {
  const auto executor = co_await asio::this_coro::executor;
  auto& service = asio::use_service<EngineService>(asio::query(executor, asio::execution::context));
  const auto addresses = request.addresses;
  CurlTransfer transfer(service.engine(options_, addresses), std::move(request));
  TESSERA_CO_CHECK(co_await transfer.start());
  ClientResponse response{.status = transfer.status(), .headers = std::move(transfer.headers()), .body = {}};
  while (true) {
    TESSERA_CO_TRY(auto piece, co_await transfer.next());
    if (!piece) co_return response;
    if (response.body.empty()) {
      response.body = *std::move(piece);
    } else {
      response.body += *piece;
    }
  }
}

}  // namespace tessera::wire
