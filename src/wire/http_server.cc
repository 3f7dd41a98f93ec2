#include "wire/http_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <vector>

#include "async/task_scope.h"
#include "wire/http_connection.h"

namespace tessera::wire {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::Code;
using boost::system::error_code;

namespace {

using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                                         asio::io_context::executor_type>;

constexpr int kBacklog = 1024;
constexpr base::Millis kAcceptPause{50};

/// Whether somebody listens there already. Our own listening sockets share the port (SO_REUSEPORT), which a second
/// server of the same user would silently join; a bind without that option does not.
error_code probe(const tcp::endpoint& endpoint, asio::io_context& context) {
  error_code error;
  if (endpoint.port() == 0) return error;
  Acceptor socket(context);
  socket.open(endpoint.protocol(), error);
  if (!error) socket.set_option(Acceptor::reuse_address(true), error);
  if (!error) socket.bind(endpoint, error);
  return error;
}

/// How often deadlines are compared: a quarter of the shortest time limit.
base::Millis tick_of(const HttpServerOptions& options) {
  const auto shortest =
      std::min({options.header_timeout, options.body_idle_timeout, options.keep_alive_timeout, options.write_timeout});
  return std::clamp(shortest / 4, base::Millis(5), base::Millis(500));
}

}  // namespace

/// One shard's part of the server: its listening socket, its ticker and its connections. Lives on the shard.
struct ListeningShard {
  ListeningShard(asio::io_context& context, ServerContext& shared)
      : server(shared), acceptor(context), ticker(context), pause(context) {}

  error_code listen(const tcp::endpoint& endpoint) {
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(Acceptor::reuse_address(true), error);
    if (!error) acceptor.set_option(ReusePort(true), error);
    if (!error) acceptor.set_option(tcp::no_delay(true), error);  // connections inherit it
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(kBacklog, error);
    return error;
  }

  /// Room for another connection, if need be by closing the one that has been idle longest.
  bool make_room() {
    if (table.connections.size() < connections_max) return true;
    HttpConnection* oldest = nullptr;
    for (auto* connection : table.connections) {
      if (connection->idle() && (oldest == nullptr || connection->idle_since() < oldest->idle_since()))
        oldest = connection;
    }
    if (oldest != nullptr) {
      oldest->close_socket();
      table.evicted.fetch_add(1, std::memory_order_relaxed);
    }
    return false;
  }

  async::Task<> accept_loop(async::TaskScope& scope) {
    const auto executor = co_await asio::this_coro::executor;
    while (!server.stopping) {
      error_code error;
      if (table.connections.size() >= connections_max) {
        // Full. Nothing idle is closed before someone knocks.
        co_await acceptor.async_wait(Acceptor::wait_read, asio::redirect_error(asio::use_awaitable, error));
        if (server.stopping) break;
      }
      if (make_room()) {
        Socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (!error) {
          table.accepted.fetch_add(1, std::memory_order_relaxed);
          auto connection = std::make_shared<HttpConnection>(std::move(socket), server, table);
          // The coroutine takes its own share first thing it does, but it does that later.
          scope.spawn_on(executor, [connection]() { return connection->run(); });
          continue;
        }
        if (server.stopping) break;
      }
      // Out of descriptors, memory or connections: what waits in the backlog is taken a little later.
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }

  void tick() {
    ticker.expires_after(tick_of(server.options));
    ticker.async_wait([this](const error_code& error) {
      if (error) return;
      const auto now = server.clock.now();
      for (auto* connection : table.connections) connection->check_deadline(now);
      tick();
    });
  }

  void begin_stop() {
    error_code ignored;
    acceptor.close(ignored);
    pause.cancel();
    for (auto* connection : table.connections) {
      if (connection->idle()) connection->close_socket();
    }
  }

  void hard_stop() {
    table.hard_stop = true;
    // A copy: hard_stop runs callbacks.
    for (auto* connection : std::vector(table.connections)) connection->hard_stop();
  }

  ServerContext& server;
  Acceptor acceptor;
  Timer ticker;
  Timer pause;
  ConnectionTable table;
  size_t connections_max = 0;
};

struct HttpServer::Impl {
  Impl(HttpServerOptions options, async::Shards& given, const base::Clock& clock, Handler handler, ErrorRenderer render)
      : shards(given),
        context{.options = std::move(options),
                .clock = clock,
                .handler = std::move(handler),
                .render_error = std::move(render)},
        scope(given.executor(0)) {}

  /// Runs `work(part)` on every shard and waits.
  template <class F>
  void on_each_shard(F work) {
    for (size_t i = 0; i < parts.size(); ++i) {
      std::promise<void> done;
      asio::post(shards.executor(i), [&] {
        if (parts[i]) work(parts[i]);
        done.set_value();
      });
      done.get_future().wait();
    }
  }

  async::Shards& shards;
  ServerContext context;
  async::TaskScope scope;
  std::vector<std::unique_ptr<ListeningShard>> parts;
  uint16_t port = 0;
  bool stopped = false;
};

base::Result<std::unique_ptr<HttpServer>> HttpServer::create(HttpServerOptions options, async::Shards& shards,
                                                             const base::Clock& clock, Handler handler,
                                                             ErrorRenderer render_error) {
  error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) {
    return base::fail(Code::invalid, "BAD_ADDRESS", "the listening address must be a numeric IPv4 or IPv6 address",
                      options.address);
  }
  auto impl = std::make_unique<Impl>(std::move(options), shards, clock, std::move(handler), std::move(render_error));
  tcp::endpoint endpoint(address, impl->context.options.port);
  const auto cannot_listen = [&] {
    return base::fail(
        Code::unavailable, "LISTEN_FAILED", "the server cannot listen on its address and port",
        endpoint.address().to_string() + " port " + std::to_string(endpoint.port()) + ": " + error.message());
  };
  error = probe(endpoint, shards.context(0));
  if (error) return cannot_listen();
  for (size_t i = 0; i < shards.count(); ++i) {
    auto& part = impl->parts.emplace_back(std::make_unique<ListeningShard>(shards.context(i), impl->context));
    part->connections_max = std::max<size_t>(1, impl->context.options.connections_max / shards.count());
    error = part->listen(endpoint);
    if (error) return cannot_listen();
    endpoint.port(part->acceptor.local_endpoint().port());
  }
  impl->port = endpoint.port();
  for (size_t i = 0; i < shards.count(); ++i) {
    auto* part = impl->parts[i].get();
    auto* scope = &impl->scope;
    asio::post(shards.executor(i), [part] { part->tick(); });
    impl->scope.spawn_on(shards.executor(i), [part, scope] { return part->accept_loop(*scope); });
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  stop(base::Millis(0));
}

uint16_t HttpServer::port() const {
  return impl_->port;
}

HttpServerStats HttpServer::stats() const {
  HttpServerStats stats;
  for (const auto& part : impl_->parts) {
    if (!part) continue;
    stats.connections += part->table.open.load(std::memory_order_relaxed);
    stats.requests_in_flight += part->table.in_flight.load(std::memory_order_relaxed);
    stats.requests_total += part->table.requests.load(std::memory_order_relaxed);
    stats.accepted_total += part->table.accepted.load(std::memory_order_relaxed);
    stats.evicted_total += part->table.evicted.load(std::memory_order_relaxed);
    stats.body_bytes_total += part->table.body_bytes_out.load(std::memory_order_relaxed);
  }
  stats.body_bytes_in_flight = impl_->context.body_bytes.load(std::memory_order_relaxed);
  return stats;
}

bool HttpServer::stop(base::Millis grace) {
  if (impl_->stopped) return true;
  impl_->stopped = true;
  impl_->context.stopping = true;
  impl_->on_each_shard([](const auto& part) { part->begin_stop(); });
  const bool clean = impl_->scope.join_blocking(grace);
  if (!clean) {
    impl_->on_each_shard([](const auto& part) { part->hard_stop(); });
    (void)impl_->scope.join_blocking();
  }
  // The ticker's callback refers to the part, so it ends on the shard, and the part after it.
  impl_->on_each_shard([](const auto& part) { part->ticker.cancel(); });
  impl_->on_each_shard([](const auto&) {});
  return clean;
}

}  // namespace tessera::wire
