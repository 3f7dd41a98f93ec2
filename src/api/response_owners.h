#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace tessera::api {

/// Which app made which of the responses that providers keep, and with which model: providers know one key for all
/// apps, so whose a response is must be known here. The last `entries_max` of them since the server's start.
/// Thread-safe.
class ResponseOwners {
 public:
  explicit ResponseOwners(size_t entries_max = 65'536) : entries_max_(entries_max) {}

  /// The first to name a response owns it.
  void note(std::string_view app_id, std::string_view response_id, std::string_view model);
  /// The model, when the response is this app's.
  [[nodiscard]] std::optional<std::string> model_of(std::string_view app_id, std::string_view response_id) const;
  /// Whether another app made it.
  [[nodiscard]] bool strange(std::string_view app_id, std::string_view response_id) const;
  void forget(std::string_view response_id);

 private:
  struct Owner {
    std::string app_id;
    std::string model;
    uint64_t number = 0;
  };
  const size_t entries_max_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Owner> owners_;  // guarded by mutex_
  /// Oldest first, forgotten ones too. Guarded by mutex_.
  std::deque<std::pair<std::string, uint64_t>> order_;
  uint64_t noted_ = 0;  // guarded by mutex_
};

}  // namespace tessera::api
