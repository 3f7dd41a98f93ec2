#include <atomic>
#include <optional>

#include "text/bpe.h"
#include "text/bpe_count.h"

namespace tessera::text {

/// A workspace and whether a call uses it; made by the first call that takes the place.
struct alignas(64) BpeCounter::Place {
  std::atomic_flag taken;
  std::optional<BpeCountWork> work;  // of the call that has set `taken`
};

BpeCounter::BpeCounter(BpeVocabulary vocabulary, size_t workspaces)
    : vocabulary_(vocabulary), places_(std::make_unique<Place[]>(workspaces)), workspaces_(workspaces) {}

BpeCounter::~BpeCounter() = default;

size_t BpeCounter::count(std::string_view text) const {
  struct Release {
    std::atomic_flag& taken;
    ~Release() { taken.clear(std::memory_order_release); }
  };
  for (size_t i = 0; i < workspaces_; ++i) {
    Place& place = places_[i];
    if (place.taken.test_and_set(std::memory_order_acquire)) continue;
    const Release release{place.taken};
    if (!place.work) place.work.emplace(vocabulary_.tables_, vocabulary_.pattern_, BpeCountWork::kTextMax);
    return BpeVocabulary::count_with(*place.work, text);
  }
  return vocabulary_.count_tokens(text);
}

}  // namespace tessera::text
