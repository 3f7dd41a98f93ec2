#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "api/usage_routes.h"
#include "app/commands.h"
#include "store/ledger_rules.h"
#include "store/sqlite/sqlite_ledger.h"

namespace tessera::app {
namespace {

using base::Code;
using base::Result;
using core::LedgerGroup;
using core::UsageRow;

struct Report {
  std::vector<LedgerGroup> groups;
  std::vector<UsageRow> rows;
  bool truncated = false;
};

/// Adds up app by app, since nobody but this command sees more than one.
Result<Report> read_report(const UsageArguments& what, const config::Settings& settings) {
  if (settings.storage.backend == "memory") {
    return base::fail(Code::invalid, "CONFIG_MEMORY", "storage.backend memory keeps no ledger; use sqlite.");
  }
  Report report;
  TESSERA_TRY(report.groups, api::parse_groups(what.by));
  core::LedgerFilter filter;
  filter.user_id = what.user;
  if (!what.from.empty()) {
    TESSERA_TRY(filter.from_ms, api::parse_moment(what.from, "--from"));
  }
  if (!what.to.empty()) {
    TESSERA_TRY(filter.to_ms, api::parse_moment(what.to, "--to"));
  }
  TESSERA_TRY(const auto ledger,
              store::LedgerFile::open((std::filesystem::path(settings.storage.directory) / "tessera.db").string()));
  std::vector<std::string> apps{what.app};
  if (what.app.empty()) {
    TESSERA_TRY(apps, ledger->list_apps());
  }
  std::map<std::vector<std::string>, UsageRow> sums;
  for (const std::string& app : apps) {
    filter.tenant = {app};
    TESSERA_TRY(const auto rows, ledger->sum_usage(filter, report.groups, store::kUsageRowsMax));
    report.truncated |= rows.size() == static_cast<size_t>(store::kUsageRowsMax);
    for (const UsageRow& row : rows) sums[row.keys].add(row);
  }
  for (auto& [keys, sum] : sums) {
    sum.keys = keys;
    report.rows.push_back(std::move(sum));
  }
  return report;
}

std::string heading(LedgerGroup group) {
  std::string name(api::name_of(group));
  for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

std::vector<std::string> cells(const UsageRow& row) {
  std::vector<std::string> line;
  for (const std::string& key : row.keys) line.push_back(key.empty() ? "-" : harmless(key, false));
  for (const int64_t number :
       {row.calls, row.prompt_tokens, row.cached_prompt_tokens, row.cache_write_tokens, row.completion_tokens}) {
    line.push_back(std::to_string(number));
  }
  line.push_back(fmt::format("{:.6f}", row.cost.usd()));
  return line;
}

std::string table_of(const Report& report, const Terminal& terminal) {
  if (report.rows.empty()) return "No calls.\n";
  std::vector<std::vector<std::string>> lines(1);
  for (const LedgerGroup group : report.groups) lines[0].push_back(heading(group));
  for (const char* const name : {"CALLS", "PROMPT", "CACHED", "WRITTEN", "COMPLETION", "USD"}) {
    lines[0].emplace_back(name);
  }
  UsageRow total;
  for (const UsageRow& row : report.rows) {
    lines.push_back(cells(row));
    total.add(row);
  }
  if (report.rows.size() > 1) {
    total.keys.assign(report.groups.size(), "");
    lines.push_back(cells(total));
    for (size_t i = 0; i < report.groups.size(); ++i) lines.back()[i] = i == 0 ? "all" : "";
  }
  return table(terminal, lines, report.groups.size(), lines[0].size());
}

}  // namespace

int usage(const Invocation& invocation, const Surroundings& here) {
  const auto loaded = load_settings(invocation, here);
  if (!loaded) return report(here.terminal, loaded.error());
  const auto read = read_report(invocation.usage, *loaded->settings);
  if (!read) return report(here.terminal, read.error());
  if (invocation.usage.csv) {
    write_out(api::usage_csv(read->groups, read->rows));
  } else if (invocation.json) {
    write_out(api::usage_json(read->groups, read->rows, read->truncated) + "\n");
  } else {
    write_out(table_of(*read, here.terminal));
  }
  if (read->truncated)
    write_err("There are more rows than are added up at once; narrow it with --from, --to or --app.\n");
  return kExitOk;
}

}  // namespace tessera::app
