#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <vector>

namespace tessera::async {

/// The event loops of a program: N shards, each one io_context run by one thread, so what stays on a shard needs no
/// mutex. Created running. Whatever runs on them (scopes, servers, clients) is stopped and joined before `stop`;
/// exceptions that leave a handler abort.
///
/// With `spin`, a loop that has run out of work looks for more for that long before it sleeps: waking a thread that
/// sleeps costs tens of microseconds on a virtual machine, often more than what it is woken for. Where that found
/// nothing lately, or somebody else wanted the core, it sleeps at once and tries again now and then.
class Shards {
 public:
  explicit Shards(size_t count, std::chrono::microseconds spin = {});
  /// Stops.
  ~Shards();
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  [[nodiscard]] size_t count() const { return shards_.size(); }
  [[nodiscard]] boost::asio::io_context& context(size_t shard) const;
  [[nodiscard]] boost::asio::any_io_executor executor(size_t shard) const;
  /// Any shard's executor, in turn.
  [[nodiscard]] boost::asio::any_io_executor next_executor();

  /// Ends the loops and joins the threads. Idempotent; not from a shard.
  void stop();

 private:
  struct Shard;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<size_t> turn_{0};
};

}  // namespace tessera::async
