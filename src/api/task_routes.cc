#include "api/task_routes.h"

#include "api/body.h"
#include "api/render.h"
#include "rag/directory_ingest.h"
#include "rag/task_registry.h"
#include "wire/sse.h"

namespace tessera::api {
namespace {

constexpr base::Millis kHeartbeat{15'000};

Reply accepted(const core::TaskRecord& record) {
  JsonWriter out;
  out.begin_object().field("task_id", record.task_id).end_object();
  Reply reply;
  reply.status = 202;
  reply.headers.push_back({"Location", "/api/tasks/" + record.task_id});
  reply.body = out.take();
  return reply;
}

Reply task_reply(const core::TaskRecord& record) {
  JsonWriter out;
  write_task(out, record);
  Reply reply;
  reply.body = out.take();
  return reply;
}

void write_paths(JsonWriter& out, std::string_view name, const std::vector<std::string>& paths) {
  out.key(name).begin_array();
  for (const std::string& path : paths) out.text(path);
  out.end_array();
}

}  // namespace

void TaskRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::ingest_directory) = [this](Call& call) { return ingest_directory(call); };
  at(RouteId::scan_vault) = [this](Call& call) { return scan_vault(call); };
  at(RouteId::reindex) = [this](Call& call) { return reindex(call); };
  at(RouteId::list_tasks) = [this](Call& call) { return list_tasks(call); };
  at(RouteId::get_task) = [this](Call& call) { return get_task(call); };
  at(RouteId::cancel_task) = [this](Call& call) { return cancel_task(call); };
  at(RouteId::task_events) = [this](Call& call) { return task_events(call); };
}

async::Task<base::Result<Reply>> TaskRoutes::ingest_directory(Call& call) {
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("DirectoryRequest")));
  rag::DirectoryRequest request;
  request.path = body.text_or("path", "");
  request.collection = body.text_or("collection", "default");
  request.watch = body.boolean("watch").value_or(false);
  TESSERA_CO_TRY(const core::TaskRecord record, co_await parts_.directories.start(call.context, std::move(request)));
  co_return accepted(record);
}

async::Task<base::Result<Reply>> TaskRoutes::scan_vault(Call& call) {
  TESSERA_CO_TRY(const Body body,
                 Body::parse(call.request.body.empty() ? "{}" : call.request.body, *find_schema("ScanRequest")));
  rag::DirectoryRequest request;
  request.path = body.text_or("path", options_.default_directory);
  request.collection = body.text_or("collection", "default");
  if (request.path.empty()) {
    co_return base::fail(base::Code::invalid, "MISSING_FIELD",
                         "Name a 'path', or set ingest.roots: its first directory is the default.", std::string(),
                         "path");
  }
  TESSERA_CO_TRY(const rag::ScanReport report, co_await parts_.directories.scan(call.context, std::move(request)));
  JsonWriter out;
  out.begin_object()
      .field("path", report.path)
      .field("files", report.files)
      .field("new", report.added)
      .field("modified", report.modified)
      .field("deleted", report.deleted)
      .field("unchanged", report.unchanged);
  write_paths(out, "new_paths", report.added_paths);
  write_paths(out, "modified_paths", report.modified_paths);
  write_paths(out, "deleted_paths", report.deleted_paths);
  out.field("truncated", report.truncated).end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> TaskRoutes::reindex(Call& call) {
  TESSERA_CO_TRY(const Body body,
                 Body::parse(call.request.body.empty() ? "{}" : call.request.body, *find_schema("ReindexRequest")));
  TESSERA_CO_TRY(const core::TaskRecord record,
                 co_await parts_.directories.reindex(call.context, body.text_or("collection", "")));
  co_return accepted(record);
}

async::Task<base::Result<Reply>> TaskRoutes::list_tasks(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({"limit", "cursor"}));
  TESSERA_CO_TRY(core::PageRequest page, call.page());
  TESSERA_CO_TRY(const auto tasks, co_await parts_.tasks.list(call.context.tenant, std::move(page)));
  JsonWriter out;
  out.begin_object().key("items").begin_array();
  for (const core::TaskRecord& record : tasks.items) write_task(out, record);
  out.end_array();
  write_cursor(out, tasks.next_cursor);
  out.end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> TaskRoutes::get_task(Call& call) {
  TESSERA_CO_TRY(const rag::TaskSnapshot task, co_await parts_.tasks.find(call.context.tenant, call.param("task_id")));
  co_return task_reply(task.record);
}

async::Task<base::Result<Reply>> TaskRoutes::cancel_task(Call& call) {
  TESSERA_CO_TRY(const rag::TaskSnapshot task,
                 co_await parts_.tasks.cancel(call.context.tenant, call.param("task_id")));
  co_return task_reply(task.record);
}

async::Task<base::Result<Reply>> TaskRoutes::task_events(Call& call) {
  // Looked up before the stream begins, so that an unknown task is a 404 and not an empty stream.
  TESSERA_CO_TRY(rag::TaskSnapshot task, co_await parts_.tasks.find(call.context.tenant, call.param("task_id")));
  wire::StreamHead head;
  head.content_type = "text/event-stream";
  head.headers = call.common_headers(parts_.clock);
  head.headers.push_back({"Cache-Control", "no-cache"});
  TESSERA_CO_CHECK(co_await call.writer.begin_stream(std::move(head)));
  call.status = 200;
  while (true) {
    JsonWriter data;
    write_task(data, task.record);
    std::string out;
    wire::append_sse(out, std::to_string(task.revision), task.finished ? "done" : "progress", data.str());
    TESSERA_CO_CHECK(co_await call.writer.write(std::move(out)));
    if (task.finished) break;
    while (true) {
      async::WaitBounds bounds;
      bounds.deadline = parts_.clock.now() + kHeartbeat;
      bounds.token = call.context.cancel;
      auto next =
          co_await parts_.tasks.follow(call.context.tenant, task.record.task_id, task.revision, std::move(bounds));
      if (next) {
        task = *std::move(next);
        break;
      }
      if (next.error().code != base::Code::deadline) co_return std::unexpected(std::move(next).error());
      TESSERA_CO_CHECK(call.context.check(parts_.clock));
      std::string beat;
      wire::append_sse_comment(beat);
      TESSERA_CO_CHECK(co_await call.writer.write(std::move(beat)));
    }
  }
  TESSERA_CO_CHECK(co_await call.writer.finish());
  Reply reply;
  reply.streamed = true;
  co_return reply;
}

}  // namespace tessera::api
