#include "api/usage_routes.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "account/spending.h"
#include "api/body.h"
#include "api/json_writer.h"
#include "api/render.h"

namespace tessera::api {
namespace {

using base::Code;

constexpr std::array<std::string_view, 7> kGroups = {"app", "key", "user", "workflow", "provider", "model", "day"};
constexpr size_t kBudgetRowsMax = 10'000;

void write_state(JsonWriter& out, const account::BudgetState& state) {
  const core::Budget& budget = state.budget;
  const core::Money used = account::add_saturated(state.spent, state.reserved);
  out.begin_object()
      .field("budget_id", budget.budget_id)
      .field("scope", account::to_string(budget.scope))
      .field("subject", state.subject)
      .field("each", budget.subject == "*")
      .field("period", account::to_string(budget.period))
      .field("hard", budget.hard)
      .key("limit_usd")
      .raw(core::usd_text(budget.limit))
      .key("spent_usd")
      .raw(core::usd_text(state.spent))
      .key("reserved_usd")
      .raw(core::usd_text(state.reserved))
      .key("left_usd")
      .raw(core::usd_text(std::max(core::Money{}, budget.limit - used)));
  out.key("resets_at");
  if (state.resets_at_ms == 0) {
    out.null();
  } else {
    out.text(base::format_rfc3339(state.resets_at_ms));
  }
  out.field("created_at", base::format_rfc3339(budget.created_at_ms)).end_object();
}

base::Result<int64_t> moment(const Call& call, std::string_view name, int64_t fallback) {
  TESSERA_TRY(const std::string text, call.query(name));
  if (text.empty()) return fallback;
  return parse_moment(text, name);
}

base::Result<bool> wants_csv(const Call& call) {
  TESSERA_TRY(const std::string format, call.query("format"));
  if (format.empty()) return call.request.header("accept").value_or("").find("text/csv") != std::string_view::npos;
  if (format == "csv" || format == "json") return format == "csv";
  return base::fail(Code::invalid, "INVALID_FIELD", "'format' is json or csv.", std::string(), "format");
}

}  // namespace

base::Result<std::vector<core::LedgerGroup>> parse_groups(std::string_view text) {
  std::vector<core::LedgerGroup> groups;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const auto* const found = std::ranges::find(kGroups, text.substr(0, comma));
    if (found == kGroups.end()) {
      return base::fail(Code::invalid, "INVALID_FIELD",
                        "'group_by' names some of app, key, user, workflow, provider, model and day, with commas.",
                        std::string(), "group_by");
    }
    groups.push_back(static_cast<core::LedgerGroup>(found - kGroups.begin()));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return groups;
}

std::string_view name_of(core::LedgerGroup group) {
  return kGroups.at(static_cast<size_t>(group));
}

std::string usage_json(const std::vector<core::LedgerGroup>& groups, const std::vector<core::UsageRow>& rows,
                       bool truncated) {
  JsonWriter out;
  core::UsageRow total;
  out.begin_object().key("items").begin_array();
  for (const core::UsageRow& row : rows) {
    out.begin_object();
    for (size_t i = 0; i < groups.size(); ++i) out.field(name_of(groups[i]), row.keys[i]);
    out.field("calls", row.calls)
        .field("prompt_tokens", row.prompt_tokens)
        .field("cached_prompt_tokens", row.cached_prompt_tokens)
        .field("cache_write_tokens", row.cache_write_tokens)
        .field("completion_tokens", row.completion_tokens)
        .key("cost_usd")
        .raw(core::usd_text(row.cost))
        .end_object();
    total.add(row);
  }
  out.end_array()
      .key("total")
      .begin_object()
      .field("calls", total.calls)
      .field("prompt_tokens", total.prompt_tokens)
      .field("completion_tokens", total.completion_tokens)
      .key("cost_usd")
      .raw(core::usd_text(total.cost))
      .end_object()
      .field("truncated", truncated)
      .end_object();
  return out.take();
}

std::string usage_csv(const std::vector<core::LedgerGroup>& groups, const std::vector<core::UsageRow>& rows) {
  std::string out;
  for (const core::LedgerGroup group : groups) out.append(name_of(group)).append(",");
  out += "calls,prompt_tokens,cached_prompt_tokens,cache_write_tokens,completion_tokens,cost_usd\r\n";
  for (const core::UsageRow& row : rows) {
    for (const std::string& key : row.keys) out.append(csv_value(key)).append(",");
    for (const int64_t number :
         {row.calls, row.prompt_tokens, row.cached_prompt_tokens, row.cache_write_tokens, row.completion_tokens}) {
      out.append(std::to_string(number)).append(",");
    }
    out.append(core::usd_text(row.cost)).append("\r\n");
  }
  return out;
}

base::Result<int64_t> parse_moment(std::string_view text, std::string_view param) {
  const auto wrong = [&] {
    return base::fail(Code::invalid, "INVALID_FIELD",
                      "Write a moment as 2026-11-21 or 2026-11-21T10:00:00Z; days begin at midnight UTC.",
                      std::string(), std::string(param));
  };
  const auto number = [&](size_t at, size_t length, int max) {
    int value = -1;
    if (at + length > text.size()) return -1;
    const char* const end = text.data() + at + length;
    const auto [stop, error] = std::from_chars(text.data() + at, end, value);
    return error == std::errc() && stop == end && value >= 0 && value <= max ? value : -1;
  };
  const auto is = [&](size_t at, char c) { return at < text.size() && text[at] == c; };
  const std::chrono::year_month_day date{std::chrono::year{number(0, 4, 9998)},
                                         std::chrono::month{static_cast<unsigned>(number(5, 2, 12))},
                                         std::chrono::day{static_cast<unsigned>(number(8, 2, 31))}};
  if (!is(4, '-') || !is(7, '-') || number(0, 4, 9998) < 1970 || !date.ok()) return wrong();
  int64_t ms = std::chrono::sys_days{date}.time_since_epoch().count() * 86'400'000LL;
  if (text.size() == 10) return ms;
  const int hour = number(11, 2, 23);
  const int minute = number(14, 2, 59);
  const int second = number(17, 2, 60);
  if ((!is(10, 'T') && !is(10, 't')) || !is(13, ':') || !is(16, ':') || hour < 0 || minute < 0 || second < 0) {
    return wrong();
  }
  ms += (hour * 3600LL + minute * 60LL + second) * 1000;
  size_t at = 19;
  if (is(at, '.')) {
    int64_t scale = 100;
    const size_t first = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) ms += (text[at] - '0') * scale;
    if (at == first) return wrong();
  }
  if ((is(at, 'Z') || is(at, 'z')) && at + 1 == text.size()) return ms;
  if ((!is(at, '+') && !is(at, '-')) || at + 6 != text.size() || !is(at + 3, ':')) return wrong();
  const int offset_hours = number(at + 1, 2, 23);
  const int offset_minutes = number(at + 4, 2, 59);
  if (offset_hours < 0 || offset_minutes < 0) return wrong();
  const int64_t offset = (offset_hours * 60LL + offset_minutes) * 60'000;
  return text[at] == '+' ? ms - offset : ms + offset;
}

std::string csv_value(std::string_view text) {
  std::string value;
  if (!text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos) value = "'";
  value += text;
  if (value.find_first_of(",\"\r\n") == std::string::npos) return value;
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

void UsageRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::usage) = [this](Call& call) { return usage(call); };
  at(RouteId::list_budgets) = [this](Call& call) { return list_budgets(call); };
  at(RouteId::put_budget) = [this](Call& call) { return put_budget(call); };
  at(RouteId::delete_budget) = [this](Call& call) { return delete_budget(call); };
}

async::Task<base::Result<Reply>> UsageRoutes::usage(Call& call) {
  TESSERA_CO_CHECK(
      call.allow_query({"from", "to", "group_by", "format", "limit", "key_id", "user_id", "workflow", "model"}));
  core::LedgerFilter filter;
  filter.tenant = call.context.tenant;
  TESSERA_CO_TRY(filter.key_id, call.query("key_id"));
  TESSERA_CO_TRY(filter.user_id, call.query("user_id"));
  TESSERA_CO_TRY(filter.workflow, call.query("workflow"));
  TESSERA_CO_TRY(filter.model, call.query("model"));
  TESSERA_CO_TRY(filter.from_ms, moment(call, "from", 0));
  TESSERA_CO_TRY(filter.to_ms, moment(call, "to", INT64_MAX));
  TESSERA_CO_TRY(const std::string asked, call.query("group_by", "model"));
  TESSERA_CO_TRY(const std::vector<core::LedgerGroup> groups, parse_groups(asked));
  TESSERA_CO_TRY(const int64_t limit, call.query_integer("limit", {.fallback = 1000, .min = 1, .max = 50'000}));
  TESSERA_CO_TRY(const bool csv, wants_csv(call));
  // One more than asked for tells whether there are more.
  TESSERA_CO_TRY(std::vector<core::UsageRow> rows,
                 co_await parts_.spending.sum_usage(std::move(filter), groups, limit + 1));
  const bool truncated = static_cast<int64_t>(rows.size()) > limit;
  if (truncated) rows.resize(static_cast<size_t>(limit));
  Reply reply;
  if (csv) {
    reply.content_type = "text/csv; charset=utf-8";
    reply.body = usage_csv(groups, rows);
    if (truncated) reply.headers.push_back({"X-Truncated", "true"});
  } else {
    reply.body = usage_json(groups, rows, truncated);
  }
  co_return reply;
}

async::Task<base::Result<Reply>> UsageRoutes::list_budgets(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({}));
  JsonWriter out;
  out.begin_object().key("items").begin_array();
  for (const auto& state : parts_.spending.list_budgets(call.context.tenant, kBudgetRowsMax)) write_state(out, state);
  out.end_array().end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> UsageRoutes::put_budget(Call& call) {
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("BudgetRequest")));
  core::Budget budget;
  budget.budget_id = call.param("budget_id");
  if (!base::valid_client_id(budget.budget_id)) {
    co_return base::fail(Code::invalid, "INVALID_FIELD",
                         "A budget's id has 1 to 256 printable characters without spaces, quotes and slashes.",
                         std::string(), "budget_id");
  }
  budget.tenant = call.context.tenant;
  budget.scope = account::parse_budget_scope(body.text_or("scope", "app")).value_or(core::BudgetScope::app);
  budget.subject = body.text_or("subject", "");
  budget.period = account::parse_budget_period(body.text_or("period", "month")).value_or(core::BudgetPeriod::month);
  budget.limit = core::money_from_usd(body.number("limit_usd").value_or(0));
  budget.hard = body.boolean("hard").value_or(true);
  budget.created_at_ms = parts_.clock.unix_ms();
  TESSERA_CO_CHECK(co_await parts_.spending.put_budget(budget));
  JsonWriter out;
  out.begin_object().key("items").begin_array();
  for (const auto& state : parts_.spending.list_budgets(call.context.tenant, kBudgetRowsMax)) {
    if (state.budget.budget_id == budget.budget_id) write_state(out, state);
  }
  out.end_array().end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> UsageRoutes::delete_budget(Call& call) {
  TESSERA_CO_CHECK(co_await parts_.spending.delete_budget(call.context.tenant, call.param("budget_id")));
  Reply reply;
  reply.body = R"({"deleted":true})";
  co_return reply;
}

}  // namespace tessera::api
