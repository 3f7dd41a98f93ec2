#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "core/money.h"

namespace tessera::core {

/// What a model can do beyond text in, text out. Bits of ModelProfile::abilities.
enum class Ability : uint32_t {
  tools = 1U << 0U,
  images = 1U << 1U,      ///< in messages
  json = 1U << 2U,        ///< structured outputs
  reasoning = 1U << 3U,   ///< spends hidden tokens, and refuses sampling parameters
  embeddings = 1U << 4U,  ///< makes vectors rather than text
  audio = 1U << 5U,       ///< transcribes speech
};

/// What is known of one model: what a call costs, how much fits, what a request that does not say gets, and how patient
/// to be. A value. A 0 or an empty member means that nothing is known, or that the provider's own counts.
struct ModelProfile {
  std::string id;                    ///< as the provider names it: "gpt-4o-mini"
  std::vector<std::string> aliases;  ///< other names that clients may use
  Price price;
  Price batch_price;              ///< at the provider's batch endpoint, and of its service tier "flex"; all 0: as price
  Price priority_price;           ///< of its service tier "priority"; all 0: as price
  bool price_known = false;       ///< a price of 0 that is known costs nothing; one that is not known is not a price
  int64_t context_window = 0;     ///< tokens, prompt and completion together
  int64_t max_output_tokens = 0;  ///< longest completion that the model makes
  uint32_t abilities = 0;         ///< of Ability
  std::optional<int64_t> max_tokens;  ///< of a request that does not say
  std::optional<double> temperature;  ///< likewise
  std::optional<double> top_p;        ///< likewise
  base::Millis connect_timeout{0};
  base::Millis first_token_timeout{0};
  base::Millis idle_timeout{0};
  base::Millis total_timeout{0};
  int64_t stream_chunk_size = 0;  ///< characters of a streamed piece, at most, where the stream is written by us
  base::Millis usual_latency{0};  ///< of a short answer, for hedging before anything was measured

  [[nodiscard]] const Price& price_at(PriceTier tier) const {
    const Price& own = tier == PriceTier::batch ? batch_price : tier == PriceTier::priority ? priority_price : price;
    return own == Price{} ? price : own;
  }
  [[nodiscard]] bool can(Ability ability) const { return (abilities & static_cast<uint32_t>(ability)) != 0; }
};

/// The profiles of this server: those shipped with it, changed by its configuration. Immutable, hence thread-safe.
class ModelProfiles {
 public:
  virtual ~ModelProfiles() = default;
  /// The profile of `model` (as the provider or the client names it, with or without "PROVIDER/" before it) when
  /// `provider` serves it; a dated name ("gpt-4o-mini-2024-07-18") falls back on the model's. Null when nothing is
  /// known. Valid as long as this object. Costs one or two look-ups in a hash table.
  [[nodiscard]] virtual const ModelProfile* find(std::string_view provider, std::string_view model) const = 0;
  /// All of them, ordered by id.
  [[nodiscard]] virtual std::vector<const ModelProfile*> list() const = 0;
};

/// One place where a model is served: who is called, with which of its keys or addresses, under which name. What stands
/// between the router and a provider (accounting) is made for one of these.
struct EndpointInfo {
  std::string provider;                   ///< as configured: "openai"
  std::string endpoint;                   ///< unique: "openai", "openai#2" with its second key
  std::string model;                      ///< as the provider names it; empty: whatever a request asks for
  const ModelProfile* profile = nullptr;  ///< null: nothing is known; outlives the models
};

}  // namespace tessera::core
