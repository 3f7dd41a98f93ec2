#include "wire/plain_engine.h"

#include <netdb.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <mutex>
#include <system_error>
#include <thread>

#include "async/channel.h"
#include "wire/client_rules.h"
#include "wire/plain_connection.h"

namespace tessera::wire {

namespace asio = boost::asio;
using async::Wake;
using base::Result;

namespace {

constexpr std::chrono::seconds kIdleMax{118};  ///< most servers close after less, and then we are told
constexpr std::chrono::seconds kNameValid{60};
constexpr base::Millis kTickMin{2};
constexpr size_t kHostsMax = 1024;
constexpr size_t kLookupsMax = 32;

/// Empty, and why in `failure`, when there is none.
Endpoints look_up(const std::string& host, uint16_t port, int flags, std::string& failure) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  Endpoints endpoints;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error != 0) {
    failure = ::gai_strerror(error);
    return endpoints;
  }
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    asio::ip::tcp::endpoint endpoint;
    if (each->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), each->ai_addr, each->ai_addrlen);
    endpoint.resize(each->ai_addrlen);
    endpoint.port(port);
    endpoints.push_back(endpoint);
  }
  ::freeaddrinfo(list);
  if (endpoints.empty()) failure = "no address";
  return endpoints;
}

}  // namespace

/// A name being looked up by a thread that nobody waits for: a resolver can take half a minute, which neither a caller
/// that gives up nor the end of the program may.
struct PlainEngine::Lookup {
  std::shared_ptr<PlainHost> host;
  std::weak_ptr<PlainEngine> engine;
  Endpoints endpoints;
  std::string failure;
  std::mutex mutex;
  asio::io_context* context = nullptr;  ///< guarded by mutex; nullptr once the loop ends
};

PlainEngine::PlainEngine(asio::io_context& context, std::shared_ptr<const HttpClientOptions> options)
    : context_(context), options_(std::move(options)), timer_(context) {}

PlainEngine::~PlainEngine() {
  shut_down();
}

void PlainEngine::shut_down() {
  if (std::exchange(stopped_, true)) return;
  for (const auto& lookup : lookups_) {
    const std::lock_guard lock(lookup->mutex);
    lookup->context = nullptr;
  }
  timer_.cancel();
  const auto connections = std::move(connections_);
  for (const auto& connection : connections) {
    connection->dropped = true;
    connection->host->idle.clear();
    connection->abandon();
  }
}

std::shared_ptr<PlainHost> PlainEngine::host(const PlainUrl& url) {
  if (const auto found = hosts_.find(url.authority); found != hosts_.end()) return found->second;
  if (hosts_.size() >= kHostsMax) forget_unused_hosts();
  auto made = std::make_shared<PlainHost>();
  made->authority = url.authority;
  made->host = url.host;
  made->port = url.port;
  hosts_.emplace(made->authority, made);
  return made;
}

void PlainEngine::forget_unused_hosts() {
  std::erase_if(hosts_, [](const auto& entry) { return entry.second.use_count() == 1; });
}

std::shared_ptr<PlainConnection> PlainEngine::take_idle(PlainHost& host) {
  while (!host.idle.empty()) {
    auto connection = std::move(host.idle.back());
    host.idle.pop_back();
    connection->idle = false;
    if (connection->reading() && base::SystemClock().now() - connection->idle_since < kIdleMax) return connection;
    drop(*connection);
  }
  return nullptr;
}

bool PlainEngine::has_room(const PlainHost& host) const {
  const size_t most = options_->connections_per_host_max;
  if (most != 0 && host.connections >= most) return false;
  if (connections_.size() < std::max<size_t>(1, options_->connections_max)) return true;
  return std::ranges::any_of(connections_, [](const auto& each) { return each->idle; });
}

std::shared_ptr<PlainConnection> PlainEngine::make(const std::shared_ptr<PlainHost>& host) {
  if (stopped_ || !has_room(*host)) return nullptr;
  if (connections_.size() >= std::max<size_t>(1, options_->connections_max)) {
    PlainConnection* oldest = nullptr;
    for (const auto& each : connections_) {
      if (each->idle && (oldest == nullptr || each->idle_since < oldest->idle_since)) oldest = each.get();
    }
    const auto keep_alive = oldest->shared_from_this();
    drop(*oldest);
  }
  auto connection = std::make_shared<PlainConnection>(*this, host);
  connection->place = connections_.size();
  connections_.push_back(connection);
  ++host->connections;
  return connection;
}

void PlainEngine::keep(const std::shared_ptr<PlainConnection>& connection) {
  if (stopped_) return;
  connection->deadline = base::SteadyTime::max();
  connection->idle_since = base::SystemClock().now();
  connection->idle = true;
  ++connection->serial;
  connection->start_read();
  connection->host->idle.push_back(connection);
  wake_next();
}

void PlainEngine::drop(PlainConnection& connection) {
  const auto self = connection.shared_from_this();
  connection.deadline = base::SteadyTime::max();
  ++connection.serial;
  connection.close();
  if (std::exchange(connection.dropped, true)) return;
  if (std::exchange(connection.idle, false)) std::erase(connection.host->idle, self);
  --connection.host->connections;
  connections_.back()->place = connection.place;
  std::swap(connections_[connection.place], connections_.back());
  connections_.pop_back();
  wake_next();
}

async::Task<Wake> PlainEngine::await_slot(std::shared_ptr<PlainHost> host, async::WaitBounds bounds) {
  const async::Waiter waiter;
  waiting_.push_back({.waiter = waiter, .host = std::move(host)});
  const Wake why = co_await waiter.wait(std::move(bounds));
  if (why != Wake::ready) {
    std::erase_if(waiting_, [&](const SlotWaiter& each) { return each.waiter == waiter; });
  }
  co_return why;
}

void PlainEngine::wake_next() {
  for (auto each = waiting_.begin(); each != waiting_.end();) {
    if (each->host->idle.empty() && !has_room(*each->host)) {
      ++each;
      continue;
    }
    const bool woken = each->waiter.wake();
    each = waiting_.erase(each);
    if (woken) return;
  }
}

async::Task<Result<Endpoints>> PlainEngine::resolve(std::shared_ptr<PlainHost> host, async::WaitBounds bounds) {
  if (!host->endpoints.empty() && base::SystemClock().now() < host->endpoints_until) co_return host->endpoints;
  std::string ignored;
  host->endpoints = look_up(host->host, host->port, AI_NUMERICHOST, ignored);
  host->endpoints_until = base::SteadyTime::max();
  if (!host->endpoints.empty()) co_return host->endpoints;
  if (!host->looking_up) start_lookup(host);
  while (host->looking_up) {
    const async::Waiter waiter;
    host->lookup_waiters.push_back(waiter);
    const Wake why = co_await waiter.wait(bounds);
    if (why == Wake::ready) continue;
    std::erase(host->lookup_waiters, waiter);
    if (why == Wake::deadline) co_return std::unexpected(timeout_error());
    co_return std::unexpected(async::wait_error(why));
  }
  if (host->endpoints.empty()) co_return std::unexpected(connect_error(host->lookup_failure));
  co_return host->endpoints;
}

void PlainEngine::start_lookup(const std::shared_ptr<PlainHost>& host) {
  host->lookup_failure = "too many names are being looked up";
  if (lookups_.size() >= kLookupsMax) return;
  auto lookup = std::make_shared<Lookup>();
  lookup->host = host;
  lookup->engine = weak_from_this();
  lookup->context = &context_;
  try {
    std::thread([lookup, name = host->host, port = host->port] {
      lookup->endpoints = look_up(name, port, 0, lookup->failure);
      const std::lock_guard lock(lookup->mutex);
      if (lookup->context == nullptr) return;
      asio::post(*lookup->context, [lookup] {
        if (const auto engine = lookup->engine.lock()) engine->end_lookup(lookup);
      });
    }).detach();
  } catch (const std::system_error&) {
    host->lookup_failure = "no thread to look the name up";
    return;
  }
  lookups_.push_back(std::move(lookup));
  host->looking_up = true;
}

void PlainEngine::end_lookup(const std::shared_ptr<Lookup>& lookup) {
  std::erase(lookups_, lookup);
  PlainHost& host = *lookup->host;
  host.looking_up = false;
  host.endpoints = std::move(lookup->endpoints);
  host.endpoints_until = base::SystemClock().now() + kNameValid;
  host.lookup_failure = std::move(lookup->failure);
  for (const auto& waiter : std::exchange(host.lookup_waiters, {})) waiter.wake();
}

void PlainEngine::arm(PlainConnection& connection, base::SteadyTime deadline) {
  connection.deadline = deadline;
  if (deadline < tick_at_) start_tick(deadline);
}

void PlainEngine::start_tick(base::SteadyTime when) {
  tick_at_ = when;
  timer_.expires_at(when);
  timer_.async_wait(
      [weak = weak_from_this(), generation = ++tick_generation_](const boost::system::error_code& /*cancelled*/) {
        const auto self = weak.lock();
        if (!self) return;
        self->context_.get_executor().on_work_started();
        if (!self->stopped_ && generation == self->tick_generation_) self->tick();
      });
  context_.get_executor().on_work_finished();  // an idle engine must not keep its loop running
}

void PlainEngine::tick() {
  const auto now = base::SystemClock().now();
  tick_at_ = base::SteadyTime::max();
  auto next = base::SteadyTime::max();
  // A copy: whoever is cut goes on later, on the loop, but a closed socket may be dropped at once.
  for (const auto& connection : std::vector(connections_)) {
    if (connection->deadline <= now) {
      connection->deadline = base::SteadyTime::max();
      connection->cut(PlainConnection::Cut::timed_out);
    } else {
      next = std::min(next, connection->deadline);
    }
  }
  if (next != base::SteadyTime::max()) start_tick(std::max(next, now + kTickMin));
}

}  // namespace tessera::wire
