#include "api/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "account/keys.h"
#include "api/errors.h"
#include "text/utf8.h"

namespace tessera::api {
namespace {

base::Result<> assign_request_id(const PipelineState& state, Call& call) {
  const auto given = call.request.header("x-request-id");
  call.context.request_id =
      given && given->size() <= 128 && base::valid_client_id(*given) ? std::string(*given) : state.parts.ids.next();
  return {};
}

void add_common_headers(const PipelineState& state, Call& call, Reply& reply) {
  if (reply.streamed) return;
  auto headers = call.common_headers(state.parts.clock);
  reply.headers.insert(reply.headers.end(), std::make_move_iterator(headers.begin()),
                       std::make_move_iterator(headers.end()));
}

base::Result<> find_route(const PipelineState& state, Call& call) {
  if (!text::is_valid_utf8(call.request.path)) {
    return base::fail(base::Code::invalid, "INVALID_PATH", "The path is not valid UTF-8.");
  }
  RouteMatch match = state.router.match(call.request.method, call.request.path);
  call.route = match.route;
  call.params = std::move(match.params);
  call.allow = std::move(match.allow);
  return {};
}

/// The name in a Host header or an origin, without port and brackets.
std::string_view host_name(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, std::min(host.find(']'), host.size()) - 1);
  return host.substr(0, host.find(':'));
}

bool is_loopback_name(std::string_view name) {
  return wire::equal_nocase(name, "localhost") || name == "::1" || name.starts_with("127.") ||
         name.ends_with(".localhost");
}

bool allows_origin(const ApiOptions& options, std::string_view origin) {
  return std::ranges::any_of(options.cors_origins, [&](const std::string& o) { return o == "*" || o == origin; });
}

base::Result<> check_origin(const PipelineState& state, Call& call) {
  const auto host = call.request.header("host").value_or("");
  if (state.options.loopback_only && !host.empty() && !is_loopback_name(host_name(host))) {
    return base::fail(base::Code::forbidden, "HOST_NOT_ALLOWED",
                      "This server answers under loopback names only. Use http://localhost, or set auth.mode to keys.");
  }
  const auto origin = call.request.header("origin");
  if (!origin || origin->empty()) return {};
  const size_t scheme = origin->find("://");
  const std::string_view authority = scheme == std::string_view::npos ? std::string_view{} : origin->substr(scheme + 3);
  if (!authority.empty() && wire::equal_nocase(authority, host)) return {};
  if (allows_origin(state.options, *origin)) return {};
  return base::fail(base::Code::forbidden, "ORIGIN_NOT_ALLOWED",
                    "Pages of this origin may not call the server. Add the origin to server.cors_origins to allow it.");
}

void add_cors_headers(const PipelineState& state, Call& call, Reply& reply) {
  const auto origin = call.request.header("origin");
  if (!origin || !allows_origin(state.options, *origin)) return;
  reply.headers.push_back({"Access-Control-Allow-Origin", std::string(*origin)});
  reply.headers.push_back({"Vary", "Origin"});
}

base::Result<> authenticate(const PipelineState& state, Call& call) {
  if (!state.options.keys_required) {
    call.context.tenant.app_id = "default";
    return {};
  }
  // A path that does not exist needs a key, too: what is not there is nobody's business.
  const Scope scope = call.route == nullptr ? Scope::chat : call.route->scope;
  if (scope == Scope::none) return {};
  const std::string_view key = shown_key(call.request);
  if (key.empty()) {
    return base::fail(base::Code::unauthenticated, "UNAUTHENTICATED",
                      "This server needs an API key: send the header \"Authorization: Bearer tsk_...\". The operator "
                      "makes one with `tessera keys create`.");
  }
  TESSERA_TRY(call.grant, state.parts.keys.check(key));
  call.context.tenant = call.grant->key.tenant;
  call.context.key_id = call.grant->key.key_id;
  return {};
}

base::Result<> check_scope(const PipelineState&, Call& call) {
  if (call.grant == nullptr || call.route == nullptr) return {};
  const std::string_view scope = to_string(call.route->scope);
  if (call.grant->scopes.has(scope)) return {};
  return base::fail(base::Code::forbidden, "SCOPE_MISSING",
                    fmt::format("This needs a key with the scope \"{}\"; this one has {}.", scope,
                                fmt::join(call.grant->key.scopes, ", ")));
}

base::Result<> admit(const PipelineState& state, Call& call) {
  if (call.grant == nullptr || call.grant->meter == nullptr) return {};
  return call.grant->meter->admit_request(state.parts.clock.now());
}

void add_challenge(const PipelineState&, Call&, Reply& reply) {
  if (reply.status == 401) reply.headers.push_back({"WWW-Authenticate", "Bearer realm=\"tessera\""});
}

base::Result<> set_deadline(const PipelineState& state, Call& call) {
  if (call.route == nullptr) return {};
  call.context.deadline = call.started + state.options.deadlines[static_cast<size_t>(call.route->tier)];
  // Asking for it costs a watch on the socket, so only routes that work long do.
  if (call.route->tier >= Tier::t3) call.context.cancel = call.writer.client_gone();
  return {};
}

base::Result<> read_priority(const PipelineState&, Call& call) {
  if (call.route == nullptr || !puts_models_to_work(*call.route)) return {};
  const auto said = call.request.header(kPriorityHeader);
  if (!said || *said == "interactive") return {};
  if (*said != "background") {
    return base::fail(base::Code::invalid, "INVALID_HEADER",
                      fmt::format("The header {} is \"interactive\" or \"background\".", kPriorityHeader));
  }
  call.context.priority = core::Priority::background;
  return {};
}

base::Result<> read_workflow(const PipelineState&, Call& call) {
  if (call.route == nullptr || !puts_models_to_work(*call.route)) return {};
  const auto said = call.request.header(kWorkflowHeader);
  if (!said || said->empty()) return {};
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  // "*" means each of them where budgets are set, so nobody is called that.
  if (said->size() > kWorkflowMax || *said == "*" || !text::is_valid_utf8(*said) ||
      std::ranges::any_of(*said, control)) {
    return base::fail(base::Code::invalid, "INVALID_HEADER",
                      fmt::format("The header {} is the workflow's name: at most {} bytes of UTF-8 without control "
                                  "characters, and not \"*\".",
                                  kWorkflowHeader, kWorkflowMax));
  }
  call.context.workflow = *said;
  return {};
}

base::Result<> require_route(const PipelineState&, Call& call) {
  if (call.route != nullptr) return {};
  if (!call.allow.empty()) {
    return base::fail(base::Code::invalid, "METHOD_NOT_ALLOWED", fmt::format("This path answers {} only.", call.allow));
  }
  return base::fail(base::Code::not_found, "ROUTE_NOT_FOUND",
                    "There is nothing at this path. GET /docs lists what there is.");
}

void add_allow_header(const PipelineState&, Call& call, Reply& reply) {
  if (call.route != nullptr || call.allow.empty() || reply.status == 403) return;
  reply.headers.push_back({"Allow", call.allow});
  if (call.error_name == "METHOD_NOT_ALLOWED") reply.status = 405;
}

constexpr Stage kPipeline[] = {
    // First, so that every answer and every log line has an id, whatever happens after.
    {"request_id", assign_request_id, add_common_headers},
    // Needs no trust in the caller, and gives the stages after it the route's scope, tier and metric label.
    {"route", find_route, add_allow_header},
    // Before auth: a page of a foreign origin must not even learn whether a key would do.
    {"origin", check_origin, add_cors_headers},
    // Before anything that costs: nobody unknown makes us work.
    {"auth", authenticate, add_challenge},
    // After auth, so that probing for paths needs a key where keys are required.
    {"require_route", require_route, nullptr},
    // After the route is known to exist, since its table names the scope.
    {"scope", check_scope, nullptr},
    // After all refusals that cost nothing: what is refused for another reason does not count against the limit.
    {"rate_limit", admit, nullptr},
    // The clock of the route's tier starts with the request, but only work that will be done has a deadline.
    {"deadline", set_deadline, nullptr},
    // Says how to do the work that was let in, and in whose name.
    {"priority", read_priority, nullptr},
    {"workflow", read_workflow, nullptr},
};

}  // namespace

std::string_view shown_key(const wire::Request& request) {
  constexpr std::string_view kBearer = "bearer ";
  if (const auto value = request.header("authorization")) {
    if (value->size() > kBearer.size() && wire::equal_nocase(value->substr(0, kBearer.size()), kBearer)) {
      std::string_view key = value->substr(kBearer.size());
      key.remove_prefix(std::min(key.find_first_not_of(' '), key.size()));
      return key;
    }
  }
  for (const char* const name : {"api-key", "x-api-key"}) {
    if (const auto value = request.header(name)) return *value;
  }
  return {};
}

std::span<const Stage> pipeline() {
  return kPipeline;
}

void record_call(const PipelineState& state, const Call& call) {
  const double ms = std::chrono::duration<double, std::milli>(state.parts.clock.now() - call.started).count();
  const std::string_view route = call.route == nullptr ? "unmatched" : call.route->name;
  state.metrics.count({.route = call.route,
                       .method = call.request.method,
                       .status = call.status,
                       .seconds = ms / 1000,
                       .bytes_in = call.bytes_in,
                       .error = call.error_code});

  const bool probe = call.route != nullptr && call.route->tier == Tier::t1 && call.status == 200;
  const auto level = probe ? base::LogLevel::debug : base::LogLevel::info;
  if (!state.options.log_requests || !state.parts.log.enabled(level)) return;
  state.parts.log.log(level, "request",
                      {{"request_id", std::string_view(call.context.request_id)},
                       {"app_id", std::string_view(call.context.tenant.app_id)},
                       {"key_id", std::string_view(call.context.key_id)},
                       {"method", wire::to_string(call.request.method)},
                       {"route", route},
                       {"status", static_cast<int64_t>(call.status)},
                       {"error", std::string_view(call.error_name)},
                       {"ms", ms},
                       {"bytes_in", static_cast<int64_t>(call.bytes_in)},
                       {"remote", call.request.remote_address}});
}

}  // namespace tessera::api
