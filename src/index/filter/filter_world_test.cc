#include "index/filter/filter_world.h"

#include <limits>

namespace tessera::index {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

}  // namespace

std::string FilterWorld::word(uint64_t bound) {
  return "w" + std::to_string(below(bound));
}

std::string FilterWorld::field() {
  static const std::vector<std::string> names{"lang", "year", "stamp", "score", "tags",   "mixed",
                                              "path", "rare", "draft", "date",  "absent", "late"};
  return names[below(names.size())];
}

core::MetadataValue FilterWorld::value(uint64_t kind) {
  switch (kind) {
    case 0:
      return word(5);
    case 1:
      return static_cast<int64_t>(1990 + below(40));
    case 2:
      return next_ - static_cast<int64_t>(below(3000));
    case 3: {
      const double awkward[] = {kNan, -kNan, kInfinity, -kInfinity, 0.0, -0.0, 9223372036854775807.0, 2000.0, 0.5};
      return below(3) == 0 ? awkward[below(9)] : static_cast<double>(below(100'000)) / 8 - 1000;
    }
    case 4: {
      std::vector<std::string> list;
      for (uint64_t i = below(4); i > 0; --i) list.push_back(word(12));
      return list;
    }
    case 5: {
      const int64_t awkward[] = {kMost, -kMost - 1, kMost - 1, (int64_t{1} << 53) + 1, int64_t{1} << 53, 0, -1};
      return awkward[below(7)];
    }
    case 6:
      return "path/" + std::to_string(below(20'000));
    case 7:
      return below(2) == 0;
    case 8:
      return std::string(below(2), '\0');
    case 9:
      return "2024-" + std::to_string(10 + below(3)) + "-" + std::to_string(10 + below(20)) + "T" +
             std::to_string(10 + below(14));
    default:
      return std::monostate();
  }
}

core::Metadata FilterWorld::metadata() {
  core::Metadata metadata;
  ++next_;
  if (below(50) == 0) return metadata;
  metadata["lang"] = value(0);
  if (below(3) > 0) metadata["year"] = value(1);
  if (below(8) > 0) metadata["stamp"] = next_;
  if (below(2) > 0) metadata["score"] = value(3);
  if (below(3) > 0) metadata["tags"] = value(4);
  if (below(3) > 0) metadata["mixed"] = value(below(11));
  metadata["path"] = value(6);
  if (below(300) == 0) metadata["rare"] = value(below(11));
  if (below(4) == 0) metadata["draft"] = value(7);
  if (below(3) > 0) metadata["date"] = value(9);
  if (next_ > 1'700'003'000) metadata["late"] = value(below(11));
  return metadata;
}

core::Filter FilterWorld::filter(int depth) {
  using Op = core::Filter::Op;
  core::Filter filter;
  if (depth > 0 && below(8) == 0) {  // the two ends of a range, and what else one field may have to satisfy at once
    const std::string name = field();
    for (uint64_t i = 2 + below(2); i > 0; --i) {
      filter.children.push_back(this->filter(0));
      filter.children.back().field = name;
    }
    return filter;
  }
  if (depth > 0 && below(3) == 0) {
    filter.op = static_cast<Op>(below(3));
    for (uint64_t i = below(4); i > 0; --i) filter.children.push_back(this->filter(depth - 1));
    return filter;
  }
  filter.op = static_cast<Op>(3 + below(8));
  filter.field = field();
  uint64_t values = below(20) == 0 ? 0 : 1;
  if (filter.op == Op::in) values = below(12);
  const uint64_t kind = below(11);
  for (; values > 0; --values) filter.values.push_back(value(below(4) == 0 ? below(11) : kind));
  if (filter.op == Op::exists && !filter.values.empty() && below(2) == 0) filter.values.front() = below(2) == 0;
  return filter;
}

}  // namespace tessera::index
