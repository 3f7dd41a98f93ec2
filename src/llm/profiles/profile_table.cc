#include "llm/profiles/profile_table.h"

#include <algorithm>
#include <array>
#include <optional>

namespace tessera::llm {
namespace {

using base::Millis;
using core::ModelProfile;
using core::Money;
using core::Price;

// "0.15" -> 150'000 millionths of a micro-dollar per token; nothing for what is no such number.
constexpr std::optional<Money> exact_price(std::string_view text) {
  constexpr size_t kDecimals = 6;
  int64_t value = 0;
  size_t decimals = 0;
  bool point = false;
  bool digits = false;
  for (const char c : text) {
    if (c == '.') {
      if (point) return std::nullopt;
      point = true;
      continue;
    }
    if (c < '0' || c > '9' || (point && ++decimals > kDecimals)) return std::nullopt;
    digits = true;
    value = value * 10 + (c - '0');
    if (value > 9'000'000'000'000) return std::nullopt;
  }
  if (!digits) return std::nullopt;
  for (; decimals < kDecimals; ++decimals) value *= 10;
  if (value > 9'000'000'000'000) return std::nullopt;
  return Money{value};
}

// The vocabulary of profiles.def.
struct Prices {
  Price price;
  Price batch;
  Price priority;
  bool known = false;
};
consteval Prices usd(std::string_view prompt, std::string_view cached, std::string_view completion) {
  return {.price = {*exact_price(prompt), *exact_price(cached), *exact_price(completion)},
          .batch = {},
          .priority = {},
          .known = true};
}
consteval Prices batch(std::string_view prompt, std::string_view cached, std::string_view completion) {
  Prices prices = usd(prompt, cached, completion);
  const auto half = [](Money money) { return Money{money.pico_usd / 2}; };
  prices.batch = {half(prices.price.prompt), half(prices.price.cached_prompt), half(prices.price.completion)};
  return prices;
}
consteval Prices priority(Prices prices, std::string_view prompt, std::string_view cached,
                          std::string_view completion) {
  prices.priority = usd(prompt, cached, completion).price;
  return prices;
}
consteval Prices anthropic(std::string_view prompt, std::string_view cached, std::string_view completion) {
  Prices prices = batch(prompt, cached, completion);
  for (Price* const price : {&prices.price, &prices.batch}) {
    price->cache_write = {price->prompt.pico_usd * 5 / 4};
    price->cache_write_long = {price->prompt.pico_usd * 2};
  }
  return prices;
}
consteval Prices none() {
  return {};
}
constexpr uint32_t bit(core::Ability ability) {
  return static_cast<uint32_t>(ability);
}
constexpr uint32_t tools = bit(core::Ability::tools);
constexpr uint32_t images = bit(core::Ability::images);
constexpr uint32_t json = bit(core::Ability::json);
constexpr uint32_t reasoning = bit(core::Ability::reasoning);
constexpr uint32_t embeddings = bit(core::Ability::embeddings);
constexpr uint32_t audio = bit(core::Ability::audio);

struct Facts {
  std::string_view id;
  Prices prices;
  int64_t window;
  int64_t output;
  uint32_t abilities;
  std::string_view aliases;
  std::string_view cheaper;
};
struct Defaults {
  std::string_view id;
  int64_t max_tokens;
  double temperature;
  int64_t timeout_s;
  int64_t chunk;
};
struct Latency {
  std::string_view id;
  int64_t ms;
};

#define TESSERA_MODEL(...)
#define TESSERA_MODEL_DEFAULTS(...)
#define TESSERA_MODEL_LATENCY(...)

#undef TESSERA_MODEL
#define TESSERA_MODEL(...) Facts{__VA_ARGS__},
constexpr Facts kFacts[] = {
#include "llm/profiles/profiles.def"
};
#undef TESSERA_MODEL
#define TESSERA_MODEL(...)

#undef TESSERA_MODEL_DEFAULTS
#define TESSERA_MODEL_DEFAULTS(...) Defaults{__VA_ARGS__},
constexpr Defaults kDefaults[] = {
#include "llm/profiles/profiles.def"
};
#undef TESSERA_MODEL_DEFAULTS
#define TESSERA_MODEL_DEFAULTS(...)

#undef TESSERA_MODEL_LATENCY
#define TESSERA_MODEL_LATENCY(...) Latency{__VA_ARGS__},
constexpr Latency kLatencies[] = {
#include "llm/profiles/profiles.def"
};
#undef TESSERA_MODEL_LATENCY
#undef TESSERA_MODEL_DEFAULTS
#undef TESSERA_MODEL

void apply(const Defaults& row, ModelProfile& profile) {
  profile.max_tokens = row.max_tokens;
  profile.temperature = row.temperature;
  profile.first_token_timeout = std::chrono::seconds(row.timeout_s);
  profile.idle_timeout = std::chrono::seconds(row.timeout_s);
  profile.stream_chunk_size = row.chunk;
}

ModelProfile shipped(const Facts& row) {
  ModelProfile profile;
  profile.id = row.id;
  for (std::string_view rest = row.aliases; !rest.empty();) {
    const size_t blank = std::min(rest.find(' '), rest.size());
    profile.aliases.emplace_back(rest.substr(0, blank));
    rest.remove_prefix(std::min(blank + 1, rest.size()));
  }
  profile.price = row.prices.price;
  profile.batch_price = row.prices.batch;
  profile.priority_price = row.prices.priority;
  profile.price_known = row.prices.known;
  profile.context_window = row.window;
  profile.max_output_tokens = row.output;
  profile.abilities = row.abilities;
  for (const Defaults& defaults : kDefaults) {
    if (defaults.id == row.id) apply(defaults, profile);
  }
  for (const Latency& latency : kLatencies) {
    if (latency.id == row.id) profile.usual_latency = Millis(latency.ms);
  }
  return profile;
}

// What `change` says over what `known` says.
ModelProfile merged(const ModelProfile& known, const ModelProfile& change) {
  ModelProfile profile = known;
  profile.id = change.id;
  if (known.id != change.id) profile.aliases.clear();  // those are the other's
  for (const std::string& alias : change.aliases) {
    if (std::ranges::find(profile.aliases, alias) == profile.aliases.end()) profile.aliases.push_back(alias);
  }
  if (change.price_known) {
    profile.price = change.price;
    profile.batch_price = change.batch_price;
    profile.priority_price = change.priority_price;
    profile.price_known = true;
  }
  const auto take = [](auto& mine, const auto& theirs) {
    if (theirs != std::remove_reference_t<decltype(mine)>{}) mine = theirs;
  };
  take(profile.context_window, change.context_window);
  take(profile.max_output_tokens, change.max_output_tokens);
  take(profile.abilities, change.abilities);
  take(profile.max_tokens, change.max_tokens);
  take(profile.temperature, change.temperature);
  take(profile.top_p, change.top_p);
  take(profile.connect_timeout, change.connect_timeout);
  take(profile.first_token_timeout, change.first_token_timeout);
  take(profile.idle_timeout, change.idle_timeout);
  take(profile.total_timeout, change.total_timeout);
  take(profile.stream_chunk_size, change.stream_chunk_size);
  take(profile.usual_latency, change.usual_latency);
  return profile;
}

// "gpt-4o-mini-2024-07-18", "claude-sonnet-4-5-20250929", "mistral-small-2506" without the date; empty: there is none.
std::string_view without_date(std::string_view model) {
  size_t at = model.size();
  size_t digits = 0;
  while (at > 0 && ((model[at - 1] >= '0' && model[at - 1] <= '9') || model[at - 1] == '-')) {
    if (model[--at] != '-') ++digits;
    if (model[at] == '-' && (digits == 8 || (digits == 4 && model.size() - at == 5))) return model.substr(0, at);
    if (digits > 8) break;
  }
  return {};
}

}  // namespace

ProfileTable::ProfileTable(std::vector<ProfileChange> changes) {
  for (const Facts& row : kFacts) add({}, shipped(row));
  for (ProfileChange& change : changes) {
    const ModelProfile* known = find(change.provider, change.like.empty() ? change.profile.id : change.like);
    add(change.provider, merged(known == nullptr ? ModelProfile{} : *known, change.profile));
  }
}

ModelProfile& ProfileTable::add(std::string_view provider, ModelProfile profile) {
  ModelProfile& kept = *profiles_.emplace_back(std::make_unique<ModelProfile>(std::move(profile)));
  const auto name = [&](const std::string& model) {
    if (provider.empty()) {
      by_name_[model] = &kept;
    } else {
      by_provider_[std::string(provider) + "/" + model] = &kept;
    }
  };
  name(kept.id);
  for (const std::string& alias : kept.aliases) name(alias);
  return kept;
}

const ModelProfile* ProfileTable::look_up(std::string_view model) const {
  if (const auto found = by_name_.find(model); found != by_name_.end()) return found->second;
  const std::string_view undated = without_date(model);
  if (undated.empty()) return nullptr;
  const auto found = by_name_.find(undated);
  return found == by_name_.end() ? nullptr : found->second;
}

const ModelProfile* ProfileTable::find(std::string_view provider, std::string_view model) const {
  const bool named = !provider.empty() && model.size() > provider.size() + 1 && model.starts_with(provider) &&
                     model[provider.size()] == '/';
  const std::string_view bare = named ? model.substr(provider.size() + 1) : model;
  if (!by_provider_.empty()) {
    std::string key(provider);
    key += '/';
    key += bare;
    if (const auto found = by_provider_.find(key); found != by_provider_.end()) return found->second;
  }
  if (const ModelProfile* profile = look_up(bare)) return profile;
  return named ? look_up(model) : nullptr;
}

std::vector<const ModelProfile*> ProfileTable::list() const {
  std::vector<const ModelProfile*> all;
  for (const auto* index : {&by_name_, &by_provider_}) {
    for (const auto& [name, profile] : *index) all.push_back(profile);
  }
  std::ranges::sort(all, [](const ModelProfile* a, const ModelProfile* b) {
    return a->id != b->id ? a->id < b->id : std::less<>{}(a, b);
  });
  const auto same = std::ranges::unique(all);
  all.erase(same.begin(), same.end());
  return all;
}

std::string_view ProfileTable::cheaper_than(std::string_view id) const {
  const auto row = std::ranges::find(kFacts, id, &Facts::id);
  return row == std::end(kFacts) ? std::string_view() : row->cheaper;
}

base::Result<Money> parse_price(std::string_view usd_per_million) {
  const auto price = exact_price(usd_per_million);
  if (!price) {
    return base::fail(base::Code::invalid, "BAD_PRICE",
                      "a price is a number of US dollars per million tokens with at most six decimals");
  }
  return *price;
}

}  // namespace tessera::llm
