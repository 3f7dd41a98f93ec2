#include "api/route.h"

#include <algorithm>

#include "api/schema_fields.h"
#include "base/assert.h"

namespace tessera::api {
namespace {

constexpr std::array<RouteSpec, kRouteCount> kRoutes = {{
#define ROUTE(id, method, path, scope, tier, request, response, summary) \
  {RouteId::id, #id, wire::Method::method, path, Scope::scope, Tier::tier, #request, #response, summary},
#include "api/routes.def"
#undef ROUTE
}};

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> out;
  path.remove_prefix(path.starts_with('/') ? 1 : 0);
  while (true) {
    const size_t slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

bool is_parameter(std::string_view segment) {
  return segment.starts_with('{');
}
bool takes_rest(std::string_view segment) {
  return segment.ends_with("...}");
}

std::string_view parameter_name(std::string_view segment) {
  return segment.substr(1, segment.size() - (takes_rest(segment) ? 5 : 2));
}

/// Whether `path` fits; fills `params` on success.
bool fits(const std::vector<std::string_view>& pattern, const std::vector<std::string_view>& path,
          std::string_view whole, RouteParams& params) {
  params.clear();
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (i >= path.size()) return false;
    if (!is_parameter(pattern[i])) {
      if (pattern[i] != path[i]) return false;
    } else if (takes_rest(pattern[i])) {
      const std::string_view rest = whole.substr(static_cast<size_t>(path[i].data() - whole.data()));
      if (rest.empty()) return false;
      params.emplace_back(parameter_name(pattern[i]), rest);
      return true;
    } else {
      if (path[i].empty()) return false;
      params.emplace_back(parameter_name(pattern[i]), path[i]);
    }
  }
  return path.size() == pattern.size();
}

}  // namespace

base::Millis tier_promise(Tier tier) {
  switch (tier) {
    case Tier::t1:
      return base::Millis(100);
    case Tier::t2:
      return base::Millis(500);
    case Tier::t3:
      return base::Millis(2'000);
    case Tier::t4:
      return base::Millis(10'000);
    case Tier::t5:
      return base::Millis(60'000);
  }
  return {};
}

std::span<const RouteSpec, kRouteCount> all_routes() {
  return kRoutes;
}

std::vector<const Schema*> all_schemas() {
  std::vector<const Schema*> all;
  for (const auto table : {request_schemas(), answer_schemas(), operation_schemas()}) {
    all.insert(all.end(), table.begin(), table.end());
  }
  return all;
}

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::none:
      return "none";
    case Scope::chat:
      return "chat";
    case Scope::ingest:
      return "ingest";
    case Scope::memory:
      return "memory";
    case Scope::agents:
      return "agents";
    case Scope::admin:
      return "admin";
    case Scope::metrics:
      return "metrics";
  }
  return "none";
}

const Schema* find_schema(std::string_view name) {
  if (name == "none") return nullptr;
  for (const auto table : {request_schemas(), answer_schemas(), operation_schemas()}) {
    const auto it = std::ranges::find(table, name, [](const Schema* schema) { return schema->name; });
    if (it != table.end()) return *it;
  }
  base::assertion_failed("the schema is declared", __FILE__, __LINE__);
}

Router::Router() {
  for (const RouteSpec& route : kRoutes) {
    patterns_.push_back({&route, split(route.path)});
    find_schema(route.request_schema);
    find_schema(route.response_schema);
  }
  for (const RouteSpec& route : kRoutes) {
    // Only where no pattern before it takes the same path.
    if (search(route.method, route.path).route == &route && !route.path.contains('{')) plain_.push_back(&route);
  }
}

RouteMatch Router::match(wire::Method method, std::string_view path) const {
  for (const RouteSpec* const route : plain_) {
    if (route->path == path && route->method == method) return {.route = route, .params = {}, .allow = {}};
  }
  return search(method, path);
}

RouteMatch Router::search(wire::Method method, std::string_view path) const {
  RouteMatch found;
  const auto segments = split(path);
  // HEAD is answered by the GET route; the server swallows the body.
  const wire::Method wanted = method == wire::Method::head ? wire::Method::get : method;
  RouteParams params;
  for (const Pattern& pattern : patterns_) {
    if (!fits(pattern.segments, segments, path, params)) continue;
    if (pattern.route->method == wanted) {
      found.route = pattern.route;
      found.params = std::move(params);
      return found;
    }
    if (!found.allow.empty()) found.allow += ", ";
    found.allow += wire::to_string(pattern.route->method);
  }
  return found;
}

}  // namespace tessera::api
