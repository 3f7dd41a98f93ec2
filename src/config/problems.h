#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tessera::config {

/// Collects what is wrong with a configuration, so that one start names all of it. Keeps the first kMax.
class Problems {
 public:
  static constexpr size_t kMax = 20;

  void add(std::string line) {
    if (++count_ <= kMax) lines_.push_back(std::move(line));
  }
  void add(std::string_view where, std::string_view what) {
    std::string line(where);
    line += ": ";
    line += what;
    add(std::move(line));
  }

  /// Success, or invalid CONFIG_INVALID with a line for each.
  [[nodiscard]] base::Result<> result() const {
    if (count_ == 0) return {};
    std::string text;
    for (const std::string& line : lines_) text += text.empty() ? line : "\n" + line;
    if (count_ > kMax) text += "\n... and " + std::to_string(count_ - kMax) + " more";
    return base::fail(base::Code::invalid, "CONFIG_INVALID", std::move(text));
  }

 private:
  std::vector<std::string> lines_;
  size_t count_ = 0;
};

}  // namespace tessera::config
