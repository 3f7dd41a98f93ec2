#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/schema.h"
#include "base/clock.h"
#include "wire/http_types.h"

namespace tessera::api {

enum class RouteId {
#define ROUTE(id, ...) id,
#include "api/routes.def"
#undef ROUTE
  count_,
};

inline constexpr size_t kRouteCount = static_cast<size_t>(RouteId::count_);

/// What a key must be allowed to do.
enum class Scope { none, chat, ingest, memory, agents, admin, metrics };

/// SLA tiers: t1 probes, t2 look-ups, t3 search, t4 generation and indexing, t5 batches. A tier has a promise and (in
/// the settings) a deadline after which its work is given up.
enum class Tier { t1, t2, t3, t4, t5 };
/// The 95th percentile that routes of a tier promise.
base::Millis tier_promise(Tier tier);

/// One line of routes.def.
struct RouteSpec {
  RouteId id;
  std::string_view name;  ///< the id as text: metric label and operationId
  wire::Method method;
  std::string_view path;
  Scope scope;
  Tier tier;
  std::string_view request_schema;   ///< "none" when there is none
  std::string_view response_schema;  ///< "none": not JSON, or another project's dialect
  std::string_view summary;
};

/// Whether it has models work, so that headers say who waits for the answer and on whose behalf it is.
constexpr bool puts_models_to_work(const RouteSpec& route) {
  return route.method == wire::Method::post && route.scope == Scope::chat && route.tier >= Tier::t3;
}
inline constexpr std::string_view kPriorityHeader = "X-Tessera-Priority";
inline constexpr std::string_view kWorkflowHeader = "X-Tessera-Workflow";
inline constexpr size_t kWorkflowMax = 256;  ///< bytes, as a budget's subject

std::span<const RouteSpec, kRouteCount> all_routes();
std::string_view to_string(Scope scope);
/// Errors are bugs of ours: the name must exist or be "none" (then nullptr).
const Schema* find_schema(std::string_view name);

/// The values of {name} in a path, in order.
using RouteParams = std::vector<std::pair<std::string_view, std::string>>;

struct RouteMatch {
  const RouteSpec* route = nullptr;  ///< null: no route for this method and path
  RouteParams params;
  std::string allow;  ///< the methods that the path has, when only the method is wrong
};

/// Finds routes by method and path. Immutable after construction, so any thread may ask.
class Router {
 public:
  Router();
  [[nodiscard]] RouteMatch match(wire::Method method, std::string_view path) const;

 private:
  struct Pattern {
    const RouteSpec* route;
    std::vector<std::string_view> segments;  ///< "{x}" and "{x...}" are parameters
  };
  [[nodiscard]] RouteMatch search(wire::Method method, std::string_view path) const;

  std::vector<Pattern> patterns_;
  std::vector<const RouteSpec*> plain_;  ///< those without parameters, which are found by comparing
};

}  // namespace tessera::api
