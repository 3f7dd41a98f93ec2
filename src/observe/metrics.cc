#include "observe/metrics.h"

#include <fmt/format.h>

#include <cmath>

namespace tessera::observe {
namespace {

// Makes the cells of one kind, with and without labels.
template <class Cell>
struct Maker {
  template <size_t N>
  static Family<Cell, N> family(std::span<const double> bounds) {
    if constexpr (N == 0 && std::is_same_v<Cell, Histogram>) {
      return Family<Cell, 0>(bounds);
    } else if constexpr (N == 0) {
      return Family<Cell, 0>();
    } else if constexpr (std::is_same_v<Cell, Histogram>) {
      return Family<Cell, N>([bounds](std::deque<Cell>& cells) { return &cells.emplace_back(bounds); });
    } else {
      return Family<Cell, N>([](std::deque<Cell>& cells) { return &cells.emplace_back(); });
    }
  }
};

namespace bounds {
constexpr std::span<const double> (*counter)() = nullptr;
constexpr std::span<const double> (*sum)() = nullptr;
constexpr std::span<const double> (*gauge)() = nullptr;
constexpr std::span<const double> (*latency)() = latency_bounds;
constexpr std::span<const double> (*size)() = size_bounds;
}  // namespace bounds

std::span<const double> bounds_of(std::span<const double> (*f)()) {
  return f ? f() : std::span<const double>();
}

namespace type {
constexpr std::string_view counter = "counter";
constexpr std::string_view sum = "counter";
constexpr std::string_view gauge = "gauge";
constexpr std::string_view latency = "histogram";
constexpr std::string_view size = "histogram";
}  // namespace type

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else if (value == std::floor(value) && std::abs(value) < 1e15) {
    fmt::format_to(std::back_inserter(out), "{}", static_cast<int64_t>(value));
  } else {
    fmt::format_to(std::back_inserter(out), "{}", value);
  }
}

// Escapes of the exposition format, version 0.0.4.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

class Writer {
 public:
  Writer(std::string& out, const MetricInfo& info) : out_(out), info_(info) {
    out_ += "# HELP ";
    out_ += info.name;
    out_ += ' ';
    append_escaped(out_, info.help, false);
    out_ += "\n# TYPE ";
    out_ += info.name;
    out_ += ' ';
    out_ += info.kind;
    out_ += '\n';
  }

  void write(const LabelValues& values, const Counter& cell) {
    start("", values, {});
    fmt::format_to(std::back_inserter(out_), "{}\n", cell.value());
  }
  void write(const LabelValues& values, const Sum& cell) { line("", values, {}, cell.value()); }
  void write(const LabelValues& values, const Gauge& cell) { line("", values, {}, cell.value()); }
  void write(const LabelValues& values, const Histogram& cell) {
    const Histogram::Snapshot now = cell.snapshot();
    uint64_t cumulative = 0;
    for (size_t i = 0; i < cell.bounds().size(); ++i) {
      cumulative += now.counts[i];
      line("_bucket", values, fmt::format("{}", cell.bounds()[i]), static_cast<double>(cumulative));
    }
    line("_bucket", values, "+Inf", static_cast<double>(now.count));
    line("_sum", values, {}, now.sum);
    line("_count", values, {}, static_cast<double>(now.count));
  }

 private:
  void start(std::string_view suffix, const LabelValues& values, std::string_view bound) {
    out_ += info_.name;
    out_ += suffix;
    char separator = '{';
    const auto label = [&](std::string_view name, std::string_view value) {
      out_ += separator;
      separator = ',';
      out_ += name;
      out_ += "=\"";
      append_escaped(out_, value, true);
      out_ += '"';
    };
    for (size_t i = 0; i < values.size(); ++i) label(info_.labels[i], values[i]);
    if (!bound.empty()) label("le", bound);
    if (separator == ',') out_ += '}';
    out_ += ' ';
  }
  void line(std::string_view suffix, const LabelValues& values, std::string_view bound, double value) {
    start(suffix, values, bound);
    append_number(out_, value);
    out_ += '\n';
  }

  std::string& out_;
  const MetricInfo& info_;
};

}  // namespace

Metrics::Metrics()
    :
#define TESSERA_METRIC(kind, member, name, unit, help, ...) \
  member(Maker<detail::kind>::family<detail::count_labels(__VA_ARGS__)>(bounds_of(bounds::kind))),
#include "observe/metrics.def"
#undef TESSERA_METRIC
      collectors_() {
}

void Metrics::add_collector(std::function<void()> collect) {
  const std::lock_guard lock(collectors_mutex_);
  collectors_.push_back(std::move(collect));
}

void Metrics::remove_collectors() {
  const std::lock_guard lock(collectors_mutex_);
  collectors_.clear();
}

std::string Metrics::render() const {
  {
    const std::lock_guard lock(collectors_mutex_);
    for (const auto& collect : collectors_) collect();
  }
  static const std::vector<MetricInfo> table = metrics_table();
  std::string out;
  out.reserve(32 * 1024);
  size_t row = 0;
#define TESSERA_METRIC(kind, member, name, unit, help, ...)                                        \
  {                                                                                                \
    Writer writer(out, table[row++]);                                                              \
    member.each([&](const LabelValues& values, const auto& cell) { writer.write(values, cell); }); \
  }
#include "observe/metrics.def"
#undef TESSERA_METRIC
  return out;
}

std::vector<MetricInfo> metrics_table() {
  std::vector<MetricInfo> table;
#define TESSERA_METRIC(kind, member, name, unit, help, ...) \
  table.push_back({type::kind, "tessera_" name, unit, help, {__VA_ARGS__}});
#include "observe/metrics.def"
#undef TESSERA_METRIC
  return table;
}

std::string metrics_markdown() {
  std::string out =
      "# Metrics\n\n"
      "Generated from `src/observe/metrics.def` by `tessera config reference --metrics`; do not edit.\n\n"
      "`GET /metrics` answers in the Prometheus text format. Labels take few, fixed values; nothing that people write\n"
      "appears in them. A metric holds at most 1,000 series; what comes later is counted under the value `other`.\n\n"
      "| Metric | Kind | Unit | Labels | Meaning |\n|---|---|---|---|---|\n";
  for (const MetricInfo& info : metrics_table()) {
    std::string labels;
    for (const auto label : info.labels) labels += fmt::format("{}`{}`", labels.empty() ? "" : ", ", label);
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", info.name, info.kind, info.unit, labels, info.help);
  }
  return out;
}

}  // namespace tessera::observe
