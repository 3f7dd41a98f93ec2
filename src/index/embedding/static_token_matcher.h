#pragma once

#include "core/token_matcher.h"
#include "index/embedding/static_model.h"

namespace tessera::index {

/// Late interaction over the rows of a static model (MaxSim of Khattab, Zaharia: ColBERT, 2020, with vectors that do
/// not depend on their surroundings). A token weighs the square of its row's length: training made rows of telling
/// tokens long. Of a long query the 64 heaviest tokens count. Tokens that several texts share are compared once. A
/// value over views; the model's bytes outlive it.
class StaticTokenMatcher final : public core::TokenMatcher {
 public:
  explicit StaticTokenMatcher(const StaticModel& model) : model_(model) {}
  using core::TokenMatcher::match;
  /// The rows of the text's tokens, in their order.
  [[nodiscard]] core::MatchTokens read(std::string_view text) const override;
  [[nodiscard]] std::vector<core::TokenMatch> match(std::string_view query,
                                                    std::span<const core::MatchTokens* const> texts) const override;

 private:
  StaticModel model_;
};

}  // namespace tessera::index
