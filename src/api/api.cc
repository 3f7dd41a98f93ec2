#include "api/api.h"

#include <fmt/format.h>

#include <exception>

#include "account/keys.h"
#include "api/account_routes.h"
#include "api/chat_routes.h"
#include "api/errors.h"
#include "api/ingest_routes.h"
#include "api/json_writer.h"
#include "api/knowledge_routes.h"
#include "api/openai_routes.h"
#include "api/operation_routes.h"
#include "api/pipeline.h"
#include "api/task_routes.h"
#include "api/usage_routes.h"
#include "base/assert.h"

namespace tessera::api {

struct Api::Impl {
  ApiParts parts;
  ApiOptions options;
  Router router;
  CallMetrics metrics{parts.metrics};
  PipelineState state{parts, options, router, metrics};
  IngestRoutes ingest{parts, options};
  KnowledgeRoutes knowledge{parts, options};
  TaskRoutes tasks{parts, options};
  ChatRoutes chat{parts, options};
  OpenAiRoutes openai{parts, options};
  OperationRoutes operations{parts, options};
  AccountRoutes accounts{parts, options};
  UsageRoutes usage{parts};
  std::array<RouteHandler, kRouteCount> handlers;

  Impl(ApiParts the_parts, ApiOptions the_options) : parts(the_parts), options(std::move(the_options)) {
    ingest.bind(handlers);
    knowledge.bind(handlers);
    tasks.bind(handlers);
    chat.bind(handlers);
    openai.bind(handlers);
    operations.bind(handlers);
    accounts.bind(handlers);
    usage.bind(handlers);
    for (const RouteHandler& handler : handlers) TESSERA_ASSERT(handler != nullptr);
  }

  async::Task<base::Result<Reply>> run(Call& call);
  async::Task<base::Result<Reply>> guarded(Call& call);
};

async::Task<base::Result<Reply>> Api::Impl::run(Call& call) {
  for (const Stage& stage : pipeline()) {
    if (stage.before != nullptr) TESSERA_CO_CHECK(stage.before(state, call));
  }
  co_return co_await handlers[static_cast<size_t>(call.route->id)](call);
}

/// The request boundary's catch-all: what a library throws is one 500 with its detail in the log, never a dead server.
async::Task<base::Result<Reply>> Api::Impl::guarded(Call& call) {
  std::string detail;
  try {
    co_return co_await run(call);
  } catch (const std::exception& error) {
    detail = error.what();
  }
  co_return base::fail(base::Code::internal, "INTERNAL",
                       "The server failed to handle this request. The log has the details under the request id.",
                       std::move(detail));
}

Api::Api(ApiParts parts, ApiOptions options) : impl_(std::make_unique<Impl>(parts, std::move(options))) {}
Api::~Api() = default;

async::Task<> Api::handle(wire::Request& request, wire::ResponseWriter& writer) {
  Call call(request, writer, impl_->parts.clock.now());
  auto result = co_await impl_->guarded(call);
  Reply reply;
  if (result) {
    reply = *std::move(result);
  } else {
    call.failed(result.error());
    if (result.error().code == base::Code::internal || !result.error().detail.empty()) {
      impl_->parts.log.failure(call.context.request_id, result.error());
    }
    reply = error_reply(result.error(), request.path, call.context.request_id);
    reply.streamed = writer.started();
  }
  const auto stages = pipeline();
  for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
    if (stage->after != nullptr) stage->after(impl_->state, call, reply);
  }
  if (call.status == 0) call.status = reply.status;
  if (!reply.streamed) {
    wire::Response response;
    response.status = reply.status;
    response.content_type = std::move(reply.content_type);
    response.headers = std::move(reply.headers);
    response.body = std::move(reply.body);
    // A client that left gets no answer; that is its choice and no failure of ours.
    if (auto sent = co_await writer.send(std::move(response)); !sent) call.failed(sent.error());
  }
  record_call(impl_->state, call);
}

uint64_t Api::body_limit(const wire::Request& head) const {
  const RouteMatch match = impl_->router.match(head.method, head.path);
  if (match.route == nullptr) return 64 * 1024;
  // Enough to tell an honest mistake that its key is wrong; not enough to fill our memory.
  if (impl_->options.keys_required && !impl_->parts.keys.check(shown_key(head))) return 1ULL << 20U;
  switch (match.route->id) {
    case RouteId::ingest:
    case RouteId::ingest_batch:
    case RouteId::chat_completions:
    case RouteId::embeddings:
      return impl_->options.body_bytes_max;
    default:
      return 2ULL << 20U;
  }
}

wire::Response Api::render_transport_error(int status, std::string_view code, std::string_view message) const {
  const std::string id = impl_->parts.ids.next();
  base::Error error = base::make_error(base::Code::invalid, std::string(code), std::string(message));
  if (status == 413) error.code = base::Code::too_large;
  if (status == 408) error.code = base::Code::deadline;
  if (status == 503) error.code = base::Code::unavailable;
  if (status == 500) error.code = base::Code::internal;
  Reply reply = error_reply(error, "/", id);
  wire::Response response;
  response.status = status;
  response.content_type = "application/json";
  response.headers = std::move(reply.headers);
  response.headers.push_back({"X-Request-Id", id});
  response.body = std::move(reply.body);
  return response;
}

}  // namespace tessera::api
