#include "text/code_state.h"

namespace tessera::text {
namespace {

constexpr size_t kFence = 3;

}  // namespace

bool CodeState::take(char c) {
  if (c == '`') {
    ++run_;
    return true;
  }
  if (run_ > 0) {
    const bool closes = open_ > 0 && (open_ >= kFence ? run_ >= open_ : run_ == open_);
    if (open_ == 0) {
      open_ = run_;
    } else if (closes) {
      open_ = 0;
    }
    run_ = 0;
  }
  if (open_ > 0 && open_ < kFence && c == '\n') open_ = 0;
  return open_ > 0;
}

}  // namespace tessera::text
