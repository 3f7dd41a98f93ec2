#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "core/model_profile.h"

namespace tessera::llm {

/// A profile of the configuration: what is set in it replaces what is shipped of the model of that id, and a new id is
/// added. With a provider, it counts for that provider's model only.
struct ProfileChange {
  std::string provider;  ///< empty: whoever serves it
  std::string like;      ///< the model whose profile is changed; empty: that of profile.id
  core::ModelProfile profile;
};

/// The profiles shipped with the program (profiles.def) and the changes to them. Immutable, hence thread-safe.
class ProfileTable final : public core::ModelProfiles {
 public:
  explicit ProfileTable(std::vector<ProfileChange> changes = {});
  ProfileTable(const ProfileTable&) = delete;
  ProfileTable& operator=(const ProfileTable&) = delete;

  [[nodiscard]] const core::ModelProfile* find(std::string_view provider, std::string_view model) const override;
  [[nodiscard]] std::vector<const core::ModelProfile*> list() const override;
  /// What answers instead of `id` when it asks to slow down; empty: nothing is known.
  [[nodiscard]] std::string_view cheaper_than(std::string_view id) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using Index = std::unordered_map<std::string, const core::ModelProfile*, Hash, std::equal_to<>>;

  core::ModelProfile& add(std::string_view provider, core::ModelProfile profile);
  [[nodiscard]] const core::ModelProfile* look_up(std::string_view model) const;

  std::vector<std::unique_ptr<core::ModelProfile>> profiles_;
  Index by_name_;      // id and aliases of models of any provider
  Index by_provider_;  // "PROVIDER/NAME" of those of one
};

/// US dollars per million tokens, exactly: up to six decimals, at most 9,000,000. Errors: invalid BAD_PRICE.
base::Result<core::Money> parse_price(std::string_view usd_per_million);

}  // namespace tessera::llm
