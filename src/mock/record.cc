#include "mock/record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "text/utf8.h"

namespace tessera::mock {
namespace {

constexpr size_t kModelsMax = 1000;  ///< told apart in the totals; the rest is "other"

/// Writes an object's fields. Texts come from requests and need not be UTF-8.
class Fields {
 public:
  explicit Fields(std::string& out) : out_(out) { out_ += '{'; }
  void close() { out_ += '}'; }
  void key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    base::append_json_string(out_, name);
    out_ += ':';
  }
  void text(std::string_view name, std::string_view value) {
    key(name);
    base::append_json_string(out_, text::is_valid_utf8(value) ? std::string(value) : text::repair_utf8(value));
  }
  void number(std::string_view name, int64_t value) {
    key(name);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void millis(std::string_view name, double value) {
    key(name);
    fmt::format_to(std::back_inserter(out_), "{:.3f}", value);
  }

 private:
  std::string& out_;
  bool first_ = true;
};

void usage_fields(Fields& fields, const Usage& usage) {
  fields.number("prompt_tokens", usage.prompt);
  fields.number("cached_tokens", usage.cached);
  fields.number("completion_tokens", usage.completion);
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  constexpr std::array<std::string_view, kOutcomes> kNames = {"complete", "error", "invalid", "broken", "client_gone"};
  return kNames[static_cast<size_t>(outcome)];
}

int64_t to_microdollars(int64_t cost) {
  return (cost + 500'000) / 1'000'000;
}

std::string Entry::json() const {
  std::string out;
  Fields fields(out);
  fields.number("seq", static_cast<int64_t>(seq));
  fields.text("at", base::format_rfc3339(at_ms));
  fields.number("at_ms", at_ms);
  if (first_ms >= 0) fields.millis("first_ms", first_ms);
  fields.millis("took_ms", took_ms);
  fields.text("method", method);
  fields.text("path", path);
  fields.text("dialect", dialect);
  fields.text("model", model);
  if (!user.empty()) fields.text("user", user);
  if (!key.empty()) fields.text("key", key);
  if (!request_id.empty()) fields.text("request_id", request_id);
  fields.number("client_port", client_port);
  fields.key("stream");
  out += stream ? "true" : "false";
  fields.number("n", choices);
  fields.number("messages", messages);
  if (max_tokens > 0) fields.number("max_tokens", max_tokens);
  fields.number("tools", tools);
  fields.number("body_bytes", static_cast<int64_t>(body_bytes));
  fields.key("fields");
  for (size_t i = 0; i < field_names.size(); ++i) {
    out += i > 0 ? ',' : '[';
    base::append_json_string(out, field_names[i]);
  }
  out += field_names.empty() ? "[]" : "]";
  if (!rule.empty()) fields.text("rule", rule);
  if (!fault.empty()) fields.text("fault", fault);
  fields.number("status", status);
  fields.text("outcome", to_string(outcome));
  fields.number("events", events);
  usage_fields(fields, usage);
  fields.number("microdollars", to_microdollars(cost));
  if (!text.empty()) fields.text("body", text);
  fields.close();
  return out;
}

void Record::Sum::add(const Entry& entry) {
  ++requests;
  usage.prompt += entry.usage.prompt;
  usage.cached += entry.usage.cached;
  usage.completion += entry.usage.completion;
  cost += entry.cost;
  microdollars += to_microdollars(entry.cost);
}

base::Result<std::unique_ptr<Record>> Record::create(RecordOptions options) {
  int file = -1;
  if (!options.path.empty()) {
    file = ::open(options.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) {
      return base::fail(base::Code::unavailable, "TRANSCRIPT_FAILED",
                        "the transcript " + options.path + " cannot be opened for writing");
    }
  }
  return std::unique_ptr<Record>(new Record(std::move(options), file));
}

Record::~Record() {
  if (file_ >= 0) ::close(file_);
}

uint64_t Record::begin() {
  const std::lock_guard lock(mutex_);
  ++in_flight_;
  return ++seq_;
}

void Record::end(Entry entry) {
  std::string line;
  if (file_ >= 0) line = entry.json() + "\n";
  const std::lock_guard lock(mutex_);
  // One write for each line: whole lines, in the order of the ends, even when the process is killed.
  if (file_ >= 0 && ::write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ++lost_lines_;
  --in_flight_;
  ++statuses_[entry.status];
  ++outcomes_[static_cast<size_t>(entry.outcome)];
  events_ += entry.events;
  auto found = models_.find(entry.model);
  if (found == models_.end()) found = models_.try_emplace(models_.size() < kModelsMax ? entry.model : "other").first;
  if (entry.outcome == Outcome::complete) found->second.billed.add(entry);
  if (entry.outcome == Outcome::broken || entry.outcome == Outcome::client_gone) found->second.cut.add(entry);
  if (options_.keep_max == 0) return;
  if (ring_.size() < options_.keep_max) {
    ring_.push_back(std::move(entry));
    return;
  }
  ring_[ring_at_] = std::move(entry);
  ring_at_ = (ring_at_ + 1) % ring_.size();
}

std::string Record::lines(uint64_t since, size_t limit) const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (size_t i = 0; i < ring_.size() && limit > 0; ++i) {
    const Entry& entry = ring_[(ring_at_ + i) % ring_.size()];
    if (entry.seq <= since) continue;
    out += entry.json();
    out += '\n';
    --limit;
  }
  return out;
}

std::string Record::totals() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  const auto sum_fields = [](Fields& fields, const Sum& sum) {
    fields.number("requests", sum.requests);
    usage_fields(fields, sum.usage);
    fields.number("microdollars", sum.microdollars);
    fields.text("exact_microdollars", fmt::format("{}.{:06}", sum.cost / 1'000'000, sum.cost % 1'000'000));
  };
  const auto both = [&](Fields& fields, const ModelSums& sums) {
    sum_fields(fields, sums.billed);
    fields.key("cut");
    Fields cut(out);
    sum_fields(cut, sums.cut);
    cut.close();
  };
  ModelSums all;
  for (const auto& [model, sums] : models_) {
    for (const auto& [into, from] : {std::pair(&all.billed, &sums.billed), std::pair(&all.cut, &sums.cut)}) {
      into->requests += from->requests;
      into->usage.prompt += from->usage.prompt;
      into->usage.cached += from->usage.cached;
      into->usage.completion += from->usage.completion;
      into->cost += from->cost;
      into->microdollars += from->microdollars;
    }
  }
  Fields fields(out);
  fields.number("seen", static_cast<int64_t>(seq_));
  fields.number("in_flight", in_flight_);
  fields.number("events", events_);
  if (lost_lines_ > 0) fields.number("lost_lines", lost_lines_);
  both(fields, all);
  fields.key("outcomes");
  Fields outcomes(out);
  for (size_t i = 0; i < kOutcomes; ++i) outcomes.number(to_string(static_cast<Outcome>(i)), outcomes_[i]);
  outcomes.close();
  fields.key("statuses");
  Fields statuses(out);
  for (const auto& [status, count] : statuses_) statuses.number(std::to_string(status), count);
  statuses.close();
  fields.key("models");
  Fields models(out);
  for (const auto& [model, sums] : models_) {
    models.key(text::is_valid_utf8(model) ? model : text::repair_utf8(model));
    Fields inside(out);
    both(inside, sums);
    inside.close();
  }
  models.close();
  fields.close();
  return out;
}

void Record::reset() {
  const std::lock_guard lock(mutex_);
  seq_ = 0;
  ring_.clear();
  ring_at_ = 0;
  models_.clear();
  statuses_.clear();
  outcomes_ = {};
  events_ = 0;
  lost_lines_ = 0;
}

}  // namespace tessera::mock
