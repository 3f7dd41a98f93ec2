#include "llm/providers/scripted_server_test.h"

#include <fmt/format.h>

#include <algorithm>

#include "async/waiter.h"

namespace tessera::llm::testing {

ScriptedServer::ScriptedServer(std::vector<Scripted> scripts)
    : scripts_(std::move(scripts)), http_(std::make_shared<wire::HttpClient>()) {
  auto render = [](int status, std::string_view, std::string_view message) {
    wire::Response response;
    response.status = status;
    response.body = message;
    return response;
  };
  auto server = wire::HttpServer::create(
      {}, shards_, clock_,
      [this](wire::Request& request, wire::ResponseWriter& writer) { return serve(request, writer); }, render);
  if (!server) std::abort();
  server_ = *std::move(server);
}

ScriptedServer::~ScriptedServer() {
  server_->stop(base::Millis(0));
}

ProviderOptions ScriptedServer::options() const {
  ProviderOptions options;
  options.name = "test";
  options.base_url = fmt::format("http://127.0.0.1:{}/v1/", server_->port());
  options.api_key = "secret-key";
  options.headers = {{"X-Extra", "yes"}};
  options.backoff_min = base::Millis(1);
  options.backoff_max = base::Millis(20);
  return options;
}

std::shared_ptr<ProviderClient> ScriptedServer::client(ProviderOptions options) const {
  return std::make_shared<ProviderClient>(std::move(options), http_, clock_, random_);
}

std::vector<Received> ScriptedServer::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

void ScriptedServer::restart(std::vector<Scripted> scripts) {
  const std::lock_guard lock(mutex_);
  scripts_ = std::move(scripts);
  received_.clear();
  turn_ = 0;
}

bool ScriptedServer::client_left() {
  async::WaitBounds bounds;
  bounds.deadline = clock_.now() + base::Millis(5'000);
  return async::sync_wait(left_.wait(bounds)) == async::Wake::ready;
}

async::Task<void> ScriptedServer::serve(wire::Request& request, wire::ResponseWriter& writer) {
  Scripted script;
  {
    const std::lock_guard lock(mutex_);
    script = scripts_[std::min(turn_++, scripts_.size() - 1)];
    std::string key;
    for (const char* name : {"api-key", "x-api-key", "x-goog-api-key"}) key += request.header(name).value_or("");
    received_.push_back({request.path, request.body, std::string(request.header("authorization").value_or("")),
                         std::string(request.header("x-extra").value_or("")), std::string(request.query), key,
                         std::string(request.header("content-type").value_or(""))});
  }
  if (script.end == Scripted::End::orderly && script.pieces.size() <= 1) {
    wire::Response response;
    response.status = script.status;
    response.content_type = "application/json";
    response.headers = script.headers;
    if (!script.pieces.empty()) response.body = script.pieces.front();
    (void)co_await writer.send(std::move(response));
    co_return;
  }
  wire::StreamHead head;
  head.status = script.status;
  head.content_type = "text/event-stream";
  head.headers = script.headers;
  (void)co_await writer.begin_stream(std::move(head));
  for (std::string& piece : script.pieces) {
    if (!co_await writer.write(std::move(piece))) co_return;
  }
  if (script.end == Scripted::End::orderly) (void)co_await writer.finish();
  if (script.end != Scripted::End::silence) co_return;  // ending without finish cuts the connection
  async::Event gone;
  const async::CancelCallback watch(writer.client_gone(), [&] { gone.set(); });
  (void)co_await gone.wait();
  left_.set();
}

std::string sse(const std::vector<std::string>& data) {
  std::string out;
  for (const std::string& line : data) out += "data: " + line + "\n\n";
  return out;
}

}  // namespace tessera::llm::testing
