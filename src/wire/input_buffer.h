#pragma once

#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <memory>
#include <string_view>

namespace tessera::wire {

/// The bytes received and not yet used: one contiguous block that grows up to a bound. While a read into room() is
/// pending, nothing else may be called.
class InputBuffer {
 public:
  explicit InputBuffer(size_t bytes_max, size_t bytes_min = size_t{4} * 1024)
      : bytes_max_(bytes_max), bytes_min_(bytes_min) {}
  [[nodiscard]] std::string_view data() const { return {bytes_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  void consume(size_t count);
  /// Room at the end, moving or growing the block if there is none; empty when the bound is reached.
  [[nodiscard]] boost::asio::mutable_buffer room();
  void added(size_t count) { end_ += count; }

 private:
  size_t bytes_max_;
  size_t bytes_min_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::unique_ptr<char[]> bytes_;
};

}  // namespace tessera::wire
