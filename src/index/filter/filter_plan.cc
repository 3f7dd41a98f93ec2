#include <algorithm>
#include <bit>

#include "index/filter/metadata_columns.h"

namespace tessera::index {

using Op = core::Filter::Op;

/// A condition on one field tells which documents have a value that satisfies it; what holds for missing values too
/// (ne, exists: false) is the opposite of such a condition.
struct FilterPlan::Node {
  Op op = Op::all;
  bool opposite = false;
  const Column* column = nullptr;
  ValueSet values;  // until the condition is made
  std::unique_ptr<Condition> condition;
  core::Filter rest;  // the same for documents whose field has no column
  std::vector<Node> children;
};

namespace {

void fill(BlockBits& bits, bool value) {
  bits.fill(value ? ~uint64_t{0} : 0);
}

void turn(BlockBits& bits) {
  for (uint64_t& word : bits) word = ~word;
}

bool all_are(const BlockBits& bits, uint64_t value) {
  uint64_t different = 0;
  for (const uint64_t word : bits) different |= word ^ value;
  return different == 0;
}

/// The condition without its negation, and whether it was negated.
bool make_positive(core::Filter& filter) {
  if (filter.op == Op::ne) {
    filter.op = Op::eq;
    return true;
  }
  if (filter.op != Op::exists) return false;
  const bool* const wanted = filter.values.empty() ? nullptr : std::get_if<bool>(&filter.values.front());
  filter.values.clear();
  return wanted != nullptr && !*wanted;
}

}  // namespace

FilterPlan::FilterPlan(const core::Filter& filter, const MetadataColumns& columns, const ScanKernels& kernels)
    : columns_(columns), kernels_(kernels), root_(std::make_unique<Node>()) {
  prepare(filter, *root_);
  finish(*root_);
}

FilterPlan::~FilterPlan() = default;

void FilterPlan::prepare(const core::Filter& filter, Node& node) const {
  node.op = filter.op;
  if (filter.op == Op::all || filter.op == Op::any || filter.op == Op::none) {
    node.children.resize(filter.children.size());
    for (size_t i = 0; i < filter.children.size(); ++i) prepare(filter.children[i], node.children[i]);
    if (filter.op == Op::all) join_ranges(node);
    return;
  }
  node.rest.op = filter.op;
  node.rest.field = filter.field;
  node.rest.values = filter.values;
  node.opposite = make_positive(node.rest);
  node.column = columns_.find(filter.field);
  if (node.column == nullptr) return;
  node.values = node.column->dictionary().matching(node.rest);
}

/// Conditions on one field that must all hold, as the two ends of a range, are one condition.
void FilterPlan::join_ranges(Node& node) {
  std::vector<Node> joined;
  for (Node& child : node.children) {
    const bool plain = child.column != nullptr && !child.opposite;
    const auto same = [&](const Node& other) { return other.column == child.column && !other.opposite; };
    const auto found = plain ? std::ranges::find_if(joined, same) : joined.end();
    if (found != joined.end()) {
      found->values.intersect(child.values);
    } else {
      joined.push_back(std::move(child));
    }
  }
  node.children = std::move(joined);
}

void FilterPlan::finish(Node& node) {
  for (Node& child : node.children) finish(child);
  if (node.column == nullptr) return;
  node.condition = std::make_unique<Condition>(std::move(node.values), node.column->dictionary().codes_end());
}

void FilterPlan::find(size_t block, BlockBits& out) const {
  find(*root_, block, out);
}

void FilterPlan::find(const Node& node, size_t block, BlockBits& out) const {
  if (node.op == Op::all || node.op == Op::any || node.op == Op::none) {
    const bool all = node.op == Op::all;
    fill(out, all);
    BlockBits bits;
    for (const Node& child : node.children) {
      find(child, block, bits);
      for (size_t i = 0; i < kBlockWords; ++i) out[i] = all ? out[i] & bits[i] : out[i] | bits[i];
      if (all_are(out, all ? 0 : ~uint64_t{0})) break;
    }
    if (node.op == Op::none) turn(out);
    return;
  }
  fill(out, false);
  if (node.column == nullptr) {
    find_rest(node.rest, block, out);
  } else if (const ColumnBlock* const values = node.column->block(block)) {
    values->find(*node.condition, kernels_, out);
  }
  if (node.opposite) turn(out);
}

void FilterPlan::find_rest(const core::Filter& filter, size_t block, BlockBits& out) const {
  const auto first = static_cast<uint32_t>(block * kBlockDocuments);
  for (auto at = columns_.rest().lower_bound(first); at != columns_.rest().end(); ++at) {
    const uint32_t place = at->first - first;
    if (place >= kBlockDocuments) break;
    if (core::matches(filter, at->second)) out[place / 64] |= uint64_t{1} << (place % 64);
  }
}

}  // namespace tessera::index
