#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "async/waiter.h"
#include "wire/http_client.h"
#include "wire/plain_url.h"

namespace tessera::wire {

class PlainConnection;

using Endpoints = std::vector<boost::asio::ip::tcp::endpoint>;

/// One "host:port" that connections lead to. Shared by the engine, its connections and the transfers.
struct PlainHost {
  std::string authority;
  std::string host;
  uint16_t port = 0;
  std::vector<std::shared_ptr<PlainConnection>> idle;  ///< the latest used last
  size_t connections = 0;                              ///< idle and in use
  Endpoints endpoints;                                 ///< what the name means, until then
  base::SteadyTime endpoints_until{};
  bool looking_up = false;
  std::string lookup_failure;
  std::vector<async::Waiter> lookup_waiters;
};

/// The connections of one event loop, client and address policy to plain HTTP servers: a pool with bounds, names looked
/// up, and one timer for all time limits. Idle, it never keeps a loop running. All on the loop's thread.
class PlainEngine : public std::enable_shared_from_this<PlainEngine> {
 public:
  PlainEngine(boost::asio::io_context& context, std::shared_ptr<const HttpClientOptions> options);
  ~PlainEngine();
  PlainEngine(const PlainEngine&) = delete;
  PlainEngine& operator=(const PlainEngine&) = delete;

  [[nodiscard]] const HttpClientOptions& options() const { return *options_; }
  [[nodiscard]] boost::asio::io_context& context() { return context_; }
  std::shared_ptr<PlainHost> host(const PlainUrl& url);

  /// An idle connection, the latest used; nullptr when there is none.
  std::shared_ptr<PlainConnection> take_idle(PlainHost& host);
  /// A new connection, not yet connected, within the bounds (an idle one of another host gives way); nullptr when full.
  std::shared_ptr<PlainConnection> make(const std::shared_ptr<PlainHost>& host);
  /// Until a connection may have become free.
  async::Task<async::Wake> await_slot(std::shared_ptr<PlainHost> host, async::WaitBounds bounds);
  /// Keeps a connection for the next request.
  void keep(const std::shared_ptr<PlainConnection>& connection);
  /// Closes a connection, idle or in use.
  void drop(PlainConnection& connection);

  /// What the host's name means. Errors: unavailable CONNECT_FAILED, deadline UPSTREAM_TIMEOUT, cancelled.
  async::Task<base::Result<Endpoints>> resolve(std::shared_ptr<PlainHost> host, async::WaitBounds bounds);

  /// The connection is cut when `deadline` passes, unless it is disarmed before.
  void arm(PlainConnection& connection, base::SteadyTime deadline);
  /// The loop is being destroyed.
  void shut_down();

 private:
  using Timer =
      boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>,
                                        boost::asio::io_context::executor_type>;
  struct Lookup;
  struct SlotWaiter {
    async::Waiter waiter;
    std::shared_ptr<PlainHost> host;
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  [[nodiscard]] bool has_room(const PlainHost& host) const;
  void wake_next();
  void forget_unused_hosts();
  void start_lookup(const std::shared_ptr<PlainHost>& host);
  void end_lookup(const std::shared_ptr<Lookup>& lookup);
  void start_tick(base::SteadyTime when);
  void tick();

  boost::asio::io_context& context_;
  std::shared_ptr<const HttpClientOptions> options_;
  std::unordered_map<std::string, std::shared_ptr<PlainHost>, TextHash, std::equal_to<>> hosts_;
  std::vector<std::shared_ptr<PlainConnection>> connections_;  ///< all; each knows its place
  std::deque<SlotWaiter> waiting_;
  std::vector<std::shared_ptr<Lookup>> lookups_;
  Timer timer_;
  base::SteadyTime tick_at_ = base::SteadyTime::max();  ///< when timer_ fires; max: not pending
  uint64_t tick_generation_ = 0;
  bool stopped_ = false;
};

}  // namespace tessera::wire
