#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <vector>

namespace tessera::async {

/// The event loops of a program: N shards, each one io_context run by one thread, so what stays on a shard needs no
/// mutex. Created running. Whatever runs on them (scopes, servers, clients) is stopped and joined before `stop`;
/// exceptions that leave a handler abort.
class Shards {
 public:
  explicit Shards(size_t count);
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
