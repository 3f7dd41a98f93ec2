#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "observe/cells.h"

namespace tessera::observe {

/// Label values of one series, in the order of the family's label names.
using LabelValues = std::vector<std::string>;

/// Most series of one family; what comes later is counted under the label value "other".
inline constexpr size_t kSeriesMax = 1000;

/// All series of one metric that has N labels. `with` finds or makes the series; its address stays valid as long as the
/// family, so a hot path resolves once and keeps the reference. Thread-safe: `with` takes a mutex and searches a map.
template <class Cell, size_t N>
class Family {
 public:
  explicit Family(std::function<Cell*(std::deque<Cell>&)> make) : make_(std::move(make)) {}

  Cell& with(const std::array<std::string_view, N>& values) {
    LabelValues key(values.begin(), values.end());
    const std::lock_guard lock(mutex_);
    auto found = series_.find(key);
    if (found != series_.end()) return *found->second;
    if (series_.size() >= kSeriesMax) {
      key.assign(N, "other");
      found = series_.find(key);
      if (found != series_.end()) return *found->second;
    }
    Cell* cell = make_(cells_);
    series_.emplace(std::move(key), cell);
    return *cell;
  }
  /// The same for one label.
  Cell& with(std::string_view value)
    requires(N == 1)
  {
    return with(std::array<std::string_view, 1>{value});
  }

  /// Calls f(label values, cell) for every series, ordered by label values.
  template <class F>
  void each(F f) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [values, cell] : series_) f(values, *cell);
  }

 private:
  std::function<Cell*(std::deque<Cell>&)> make_;
  mutable std::mutex mutex_;
  std::deque<Cell> cells_;               // guarded by mutex_; addresses are stable
  std::map<LabelValues, Cell*> series_;  // guarded by mutex_
};

/// A metric without labels is its one series.
template <class Cell>
class Family<Cell, 0> : public Cell {
 public:
  using Cell::Cell;
  template <class F>
  void each(F f) const {
    f(LabelValues{}, static_cast<const Cell&>(*this));
  }
};

}  // namespace tessera::observe
