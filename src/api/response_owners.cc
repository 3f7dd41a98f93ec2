#include "api/response_owners.h"

namespace tessera::api {

void ResponseOwners::note(std::string_view app_id, std::string_view response_id, std::string_view model) {
  const std::lock_guard lock(mutex_);
  Owner owner{.app_id = std::string(app_id), .model = std::string(model), .number = noted_};
  if (!owners_.try_emplace(std::string(response_id), std::move(owner)).second) return;
  order_.emplace_back(response_id, noted_++);
  if (order_.size() <= entries_max_) return;
  const auto oldest = owners_.find(order_.front().first);
  if (oldest != owners_.end() && oldest->second.number == order_.front().second) owners_.erase(oldest);
  order_.pop_front();
}

std::optional<std::string> ResponseOwners::model_of(std::string_view app_id, std::string_view response_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = owners_.find(std::string(response_id));
  if (found == owners_.end() || found->second.app_id != app_id) return std::nullopt;
  return found->second.model;
}

bool ResponseOwners::strange(std::string_view app_id, std::string_view response_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = owners_.find(std::string(response_id));
  return found != owners_.end() && found->second.app_id != app_id;
}

void ResponseOwners::forget(std::string_view response_id) {
  const std::lock_guard lock(mutex_);
  owners_.erase(std::string(response_id));
}

}  // namespace tessera::api
