#include "rag/selection.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace tessera::rag {
namespace {

/// Chunks of one passage, at most, for each neighbour allowed; a document that matches everywhere stays several
/// passages.
constexpr int64_t kHitsSpan = 2;

bool same_section(const core::Passage& a, const core::Passage& b) {
  return a.document_key == b.document_key && a.heading_path == b.heading_path;
}

/// Whether the document still is the one that the part is of.
bool holds(const std::string& text, const core::Passage& part) {
  const auto start = static_cast<size_t>(part.start);
  return part.start >= 0 && start <= text.size() &&
         std::string_view(text).substr(start).starts_with(std::string_view(part.text));
}

bool whole(const core::Passage& part) {
  return part.end - part.start == static_cast<int64_t>(part.text.size());
}

bool touches(const core::Passage& before, const core::Passage& after) {
  return after.start <= before.end && after.end >= before.end && after.start >= before.start;
}

}  // namespace

bool Selection::wants(int64_t document_key) const {
  if (options_.per_document == 0) return true;
  const auto found = of_document_.find(document_key);
  return found == of_document_.end() || found->second < options_.per_document;
}

void Selection::offer(core::Passage passage) {
  if (missing() == 0 || !wants(passage.document_key) || join(passage)) return;
  if (duplicates_.repeats(passage.text)) return;
  ++of_document_[passage.document_key];
  SelectedPassage chosen{passage, passage.ordinal, passage.ordinal, {}};
  chosen.parts.emplace(passage.ordinal, std::move(passage));
  selected_.push_back(std::move(chosen));
}

bool Selection::join(core::Passage& passage) {
  const auto reach = static_cast<int64_t>(options_.neighbours);
  if (reach == 0) return false;
  for (SelectedPassage& other : selected_) {
    if (!same_section(other.best, passage)) continue;
    const int64_t first = std::min(other.first, passage.ordinal);
    const int64_t last = std::max(other.last, passage.ordinal);
    const bool near = passage.ordinal >= other.first - reach && passage.ordinal <= other.last + reach;
    if (!near || last - first > kHitsSpan * reach) continue;
    other.first = first;
    other.last = last;
    other.parts.emplace(passage.ordinal, std::move(passage));
    return true;
  }
  return false;
}

std::vector<int64_t> Selection::neighbour_keys() const {
  const auto reach = static_cast<int64_t>(options_.neighbours);
  std::vector<int64_t> keys;
  if (reach == 0) return keys;
  for (const SelectedPassage& each : selected_) {
    for (int64_t ordinal = std::max<int64_t>(0, each.first - reach); ordinal <= each.last + reach; ++ordinal) {
      if (!each.parts.contains(ordinal)) keys.push_back(each.best.chunk_key + ordinal - each.best.ordinal);
    }
  }
  std::ranges::sort(keys);
  keys.erase(std::ranges::unique(keys).begin(), keys.end());
  return keys;
}

// A chunk between two passages goes to the better one, so that no text is given twice.
void Selection::add_neighbours(std::vector<core::Passage> passages) {
  const auto reach = static_cast<int64_t>(options_.neighbours);
  for (core::Passage& passage : passages) {
    const auto taken = [&](const SelectedPassage& each) {
      return each.best.document_key == passage.document_key && each.parts.contains(passage.ordinal);
    };
    if (std::ranges::any_of(selected_, taken)) continue;
    for (SelectedPassage& each : selected_) {
      if (!same_section(each.best, passage)) continue;
      if (passage.ordinal < each.first - reach || passage.ordinal > each.last + reach) continue;
      each.parts.emplace(passage.ordinal, std::move(passage));
      break;
    }
  }
}

std::vector<SelectedPassage> Selection::take() {
  of_document_.clear();
  return std::exchange(selected_, {});
}

bool has_gaps(const SelectedPassage& selected) {
  const auto& parts = selected.parts;
  for (auto part = parts.begin(); part != parts.end() && std::next(part) != parts.end(); ++part) {
    const auto next = std::next(part);
    if (next->first == part->first + 1 && !touches(part->second, next->second)) return true;
  }
  return false;
}

core::Passage join_parts(SelectedPassage selected, const std::string* text) {
  auto& parts = selected.parts;
  const auto joinable = [&](const core::Passage& before, const core::Passage& after) {
    if (after.ordinal != before.ordinal + 1 || !whole(before) || !whole(after)) return false;
    if (touches(before, after)) return true;
    return text != nullptr && after.start > before.end && holds(*text, before) && holds(*text, after);
  };
  auto first = parts.find(selected.best.ordinal);
  auto last = first;
  while (first != parts.begin() && joinable(std::prev(first)->second, first->second)) --first;
  while (std::next(last) != parts.end() && joinable(last->second, std::next(last)->second)) ++last;
  core::Passage joined = std::move(selected.best);
  joined.start = first->second.start;
  joined.end = first->second.end;
  joined.text = first->second.text;
  for (auto part = first; part != last;) {
    ++part;
    const core::Passage& next = part->second;
    if (next.start > joined.end) {
      joined.text.append(*text, static_cast<size_t>(joined.end), static_cast<size_t>(next.start - joined.end));
      joined.end = next.start;
    }
    joined.text.append(next.text, static_cast<size_t>(joined.end - next.start));
    joined.end = next.end;
  }
  return joined;
}

}  // namespace tessera::rag
