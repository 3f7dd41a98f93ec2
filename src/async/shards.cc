#include "async/shards.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <string>
#include <thread>

namespace tessera::async {

struct Shards::Shard {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
  std::thread thread;
};

Shards::Shards(size_t count) {
  for (size_t i = 0; i < std::max<size_t>(1, count); ++i) shards_.push_back(std::make_unique<Shard>());
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i]->thread = std::thread([shard = shards_[i].get(), i] {
      pthread_setname_np(pthread_self(), ("shard-" + std::to_string(i)).c_str());
      shard->context.run();
    });
  }
}

Shards::~Shards() {
  stop();
}

boost::asio::io_context& Shards::context(size_t shard) const {
  return shards_.at(shard)->context;
}
boost::asio::any_io_executor Shards::executor(size_t shard) const {
  return context(shard).get_executor();
}

boost::asio::any_io_executor Shards::next_executor() {
  return executor(turn_.fetch_add(1, std::memory_order_relaxed) % shards_.size());
}

void Shards::stop() {
  for (const auto& shard : shards_) {
    shard->work.reset();
    shard->context.stop();
  }
  for (const auto& shard : shards_) {
    if (shard->thread.joinable()) shard->thread.join();
  }
}

}  // namespace tessera::async
