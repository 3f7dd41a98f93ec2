#include "app/profile_settings.h"

#include <cmath>
#include <string>
#include <utility>

namespace tessera::app {
namespace {

using config::RoutedModelSettings;
using core::ModelProfile;

// US dollars per million tokens: exact up to six decimals.
core::Money per_token(double usd_per_million) {
  return {std::llround(usd_per_million * 1e6)};
}

core::Price times(const core::Price& price, double factor) {
  const auto scaled = [factor](core::Money money) {
    return core::Money{std::llround(static_cast<double>(money.pico_usd) * factor)};
  };
  return {scaled(price.prompt), scaled(price.cached_prompt), scaled(price.completion), scaled(price.cache_write),
          scaled(price.cache_write_long)};
}

core::ModelProfile facts_of(const RoutedModelSettings& entry) {
  ModelProfile profile;
  profile.id = entry.upstream;
  if (entry.price_prompt >= 0) {
    const double cached = entry.price_cached_prompt < 0 ? entry.price_prompt : entry.price_cached_prompt;
    profile.price = {per_token(entry.price_prompt), per_token(cached), per_token(entry.price_completion)};
    if (entry.price_cache_write >= 0) profile.price.cache_write = per_token(entry.price_cache_write);
    if (entry.price_cache_write_long >= 0) profile.price.cache_write_long = per_token(entry.price_cache_write_long);
    profile.batch_price = times(profile.price, entry.flex_factor);
    profile.priority_price = times(profile.price, entry.priority_factor);
    profile.price_known = true;
  }
  profile.context_window = entry.context_window;
  profile.max_output_tokens = entry.max_output_tokens;
  return profile;
}

core::ModelProfile habits_of(const RoutedModelSettings& entry) {
  ModelProfile profile;
  profile.id = entry.name;
  profile.aliases = entry.aliases;
  if (entry.max_tokens > 0) profile.max_tokens = entry.max_tokens;
  if (entry.temperature >= 0) profile.temperature = entry.temperature;
  if (entry.top_p >= 0) profile.top_p = entry.top_p;
  profile.connect_timeout = entry.connect_timeout_ms;
  profile.first_token_timeout = entry.first_token_timeout_ms;
  profile.idle_timeout = entry.idle_timeout_ms;
  profile.total_timeout = entry.total_timeout_ms;
  profile.stream_chunk_size = entry.stream_chunk_size;
  return profile;
}

}  // namespace

std::vector<llm::ProfileChange> profile_changes(const config::Settings& settings) {
  std::vector<llm::ProfileChange> changes;
  for (const RoutedModelSettings& entry : settings.models) {
    std::vector<std::string> providers = entry.providers;
    if (providers.empty()) providers.emplace_back();
    for (const std::string& provider : providers) {
      changes.push_back({.provider = provider, .like = {}, .profile = facts_of(entry)});
      changes.push_back({.provider = provider, .like = entry.upstream, .profile = habits_of(entry)});
    }
  }
  return changes;
}

}  // namespace tessera::app
