#include "wire/input_buffer.h"

#include <algorithm>
#include <cstring>

namespace tessera::wire {

void InputBuffer::consume(size_t count) {
  begin_ += count;
  if (begin_ == end_) begin_ = end_ = 0;
}

boost::asio::mutable_buffer InputBuffer::room() {
  if (end_ == capacity_ && begin_ > 0) {
    std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_ && capacity_ < bytes_max_) {
    const size_t grown = std::min(std::max(bytes_min_, capacity_ * 2), bytes_max_);
    auto bytes = std::make_unique_for_overwrite<char[]>(grown);
    if (end_ > 0) std::memcpy(bytes.get(), bytes_.get(), end_);
    bytes_ = std::move(bytes);
    capacity_ = grown;
  }
  return {bytes_.get() + end_, capacity_ - end_};
}

}  // namespace tessera::wire
