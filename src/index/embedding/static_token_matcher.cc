#include "index/embedding/static_token_matcher.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "index/embedding/row_likeness.h"

namespace tessera::index {
namespace {

constexpr size_t kQueryTokensMax = 64;
constexpr size_t kPairsMax = 64;
constexpr float kTellingShare = 0.25F;  // of the heaviest token's length: lighter ones make no pairs
constexpr size_t kAhead = 6;            // tokens of a text whose vectors are on their way from memory
constexpr size_t kNowhere = std::numeric_limits<size_t>::max();

/// Two telling tokens that follow each other in the query, by their places in Query::rows.
struct Pair {
  uint32_t first = 0;
  uint32_t second = 0;
  float weight = 0;
};

/// Different tokens of a query.
struct Query {
  std::vector<uint16_t> rows;
  std::vector<float> weights;
  std::vector<Pair> pairs;
  float weight = 0;       ///< of all rows
  float pair_weight = 0;  ///< of all pairs
};

/// Calls f(row) for each token of the text that has a row.
template <class F>
void for_each_row(const StaticModel& model, std::string_view text, F&& f) {
  std::array<uint16_t, 512> ids;
  while (!text.empty()) {
    const auto progress = model.tokenizer().encode(text, ids);
    text.remove_prefix(progress.bytes);
    for (size_t i = 0; i < progress.ids; ++i) {
      if (ids[i] >= model.first_row()) f(static_cast<uint16_t>(ids[i] - model.first_row()));
    }
  }
}

Query read_query(const StaticModel& model, const RowLikeness& likeness, std::string_view text) {
  std::vector<uint16_t> sequence;
  for_each_row(model, text, [&](uint16_t row) { sequence.push_back(row); });
  Query query;
  query.rows = sequence;
  std::ranges::sort(query.rows);
  query.rows.erase(std::ranges::unique(query.rows).begin(), query.rows.end());
  const auto heavier = [&](uint16_t a, uint16_t b) {
    const float x = likeness.length(a);
    const float y = likeness.length(b);
    return x != y ? x > y : a < b;
  };
  std::ranges::sort(query.rows, heavier);
  if (query.rows.size() > kQueryTokensMax) query.rows.resize(kQueryTokensMax);
  for (const uint16_t row : query.rows) {
    const float length = likeness.length(row);
    query.weights.push_back(length * length);
    query.weight += length * length;
  }
  constexpr uint32_t kNone = kQueryTokensMax;
  uint32_t before = kNone;
  for (const uint16_t row : sequence) {
    const auto found = std::ranges::find(query.rows, row);
    if (found == query.rows.end() || likeness.length(row) < kTellingShare * likeness.length(query.rows.front()))
      continue;
    const auto at = static_cast<uint32_t>(found - query.rows.begin());
    const auto same = [&](const Pair& pair) { return pair.first == before && pair.second == at; };
    if (before != kNone && before != at && query.pairs.size() < kPairsMax && std::ranges::none_of(query.pairs, same)) {
      const float weight = std::min(likeness.length(query.rows[before]), likeness.length(row));
      query.pairs.push_back({before, at, weight});
      query.pair_weight += weight;
    }
    before = at;
  }
  return query;
}

/// Compares texts one after the other; remembers how like the query each token is.
class TextReader {
 public:
  TextReader(const StaticModel& model, RowLikeness& likeness, const Query& query)
      : likeness_(likeness), query_(query), numbers_(model.vocabulary()) {
    likeness.set_others(query.rows);
    for (const uint16_t row : query.rows) number_of(row);
  }

  core::TokenMatch read(const core::MatchTokens& text) {
    const size_t tokens = query_.rows.size();
    best_.assign(tokens, -1.0F);
    last_.assign(tokens, kNowhere);
    nearest_.assign(query_.pairs.size(), kNowhere);
    core::TokenMatch match;
    size_t place = 0;
    bool any = false;
    ++text_;
    for (size_t at = 0; at < text.size(); ++at) {
      if (at + kAhead < text.size() && numbers_[text[at + kAhead]] == 0) likeness_.prefetch(text[at + kAhead]);
      const uint32_t number = number_of(text[at]);
      if (number < tokens) meet(number, place);
      ++place;
      if (seen_[number] == text_) continue;
      seen_[number] = text_;
      any = true;
      const float* like = likes_.data() + number * tokens;
      for (size_t i = 0; i < tokens; ++i) best_[i] = std::max(best_[i], like[i]);
    }
    if (any) sum_up(match);
    return match;
  }

 private:
  /// The token's place in likes_, compared with the query when it is new.
  uint32_t number_of(uint16_t row) {
    uint32_t& number = numbers_[row];
    if (number == 0) {
      seen_.push_back(0);
      likes_.resize(likes_.size() + query_.rows.size());
      likeness_.compare(row, likes_.data() + likes_.size() - query_.rows.size());
      number = static_cast<uint32_t>(seen_.size());
    }
    return number - 1;
  }

  void meet(uint32_t token, size_t place) {
    last_[token] = place;
    for (size_t i = 0; i < query_.pairs.size(); ++i) {
      const Pair& pair = query_.pairs[i];
      if (pair.second == token && last_[pair.first] != kNowhere) {
        nearest_[i] = std::min(nearest_[i], place - last_[pair.first]);
      } else if (pair.first == token && last_[pair.second] != kNowhere) {
        nearest_[i] = std::min(nearest_[i], place - last_[pair.second] + 1);  // the other way round: one further
      }
    }
  }

  void sum_up(core::TokenMatch& match) const {
    for (size_t i = 0; i < best_.size(); ++i) match.likeness += query_.weights[i] * best_[i] / query_.weight;
    for (size_t i = 0; i < nearest_.size(); ++i) {
      if (nearest_[i] == kNowhere) continue;
      match.near += query_.pairs[i].weight / query_.pair_weight / static_cast<float>(nearest_[i]);
    }
  }

  RowLikeness& likeness_;
  const Query& query_;
  std::vector<uint32_t> numbers_;  ///< of each row, from 1; 0: not met yet. The query's own come first.
  std::vector<uint32_t> seen_;     ///< by number: the text it was met in last
  std::vector<float> likes_;       ///< by number: the cosine with each token of the query
  uint32_t text_ = 0;
  std::vector<float> best_;
  std::vector<size_t> last_;
  std::vector<size_t> nearest_;  ///< of each pair
};

}  // namespace

core::MatchTokens StaticTokenMatcher::read(std::string_view text) const {
  core::MatchTokens rows;
  rows.reserve(text.size() / 4);
  for_each_row(model_, text, [&](uint16_t row) { rows.push_back(row); });
  return rows;
}

std::vector<core::TokenMatch> StaticTokenMatcher::match(std::string_view query,
                                                        std::span<const core::MatchTokens* const> texts) const {
  std::vector<core::TokenMatch> matches(texts.size());
  RowLikeness likeness({model_.rows().data(), model_.scales().data(), model_.dimensions()});
  const Query read = read_query(model_, likeness, query);
  if (read.weight <= 0) return matches;
  TextReader reader(model_, likeness, read);
  for (size_t i = 0; i < texts.size(); ++i) matches[i] = reader.read(*texts[i]);
  return matches;
}

}  // namespace tessera::index
