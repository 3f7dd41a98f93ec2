#include "mock/mock_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "base/hash.h"
#include "base/log.h"
#include "mock/form.h"
#include "mock/play.h"
#include "wire/http_server.h"

namespace tessera::mock {
namespace {

using base::Result;

constexpr uint64_t kBodyBytesMax = 64ULL * 1024 * 1024;
constexpr size_t kTranscriptMax = 100'000;

wire::Response json_response(int status, std::string body) {
  return {.status = status, .content_type = "application/json", .headers = {}, .body = std::move(body)};
}

/// What a path asks for.
struct Target {
  Dialect dialect = Dialect::openai;
  std::string model = {};  ///< that the path names
  bool stream = false;     ///< that the path says so
};

std::optional<Target> target_of(std::string_view path) {
  const auto between = [path](std::string_view before, std::string_view after) -> std::string {
    const size_t begin = path.rfind(before);
    if (begin == std::string_view::npos) return {};
    const size_t from = begin + before.size();
    const size_t end = path.find(after, from);
    return end == std::string_view::npos ? std::string{} : std::string(path.substr(from, end - from));
  };
  if (path.ends_with("/chat/completions")) {
    return Target{.dialect = Dialect::openai, .model = between("/deployments/", "/chat/completions")};
  }
  if (path.ends_with("/embeddings")) {
    return Target{.dialect = Dialect::embeddings, .model = between("/deployments/", "/embeddings")};
  }
  if (path.ends_with("/responses")) return Target{.dialect = Dialect::responses};
  if (path.ends_with("/audio/transcriptions")) {
    return Target{.dialect = Dialect::transcription, .model = between("/deployments/", "/audio/transcriptions")};
  }
  if (path.ends_with("/messages")) return Target{.dialect = Dialect::anthropic};
  if (path.ends_with(":generateContent")) {
    return Target{.dialect = Dialect::gemini, .model = between("/models/", ":generateContent")};
  }
  if (path.ends_with(":streamGenerateContent")) {
    return Target{.dialect = Dialect::gemini, .model = between("/models/", ":streamGenerateContent"), .stream = true};
  }
  return std::nullopt;
}

std::string_view api_key(const wire::Request& request) {
  for (const std::string_view name : {"authorization", "x-api-key", "api-key", "x-goog-api-key"}) {
    auto value = request.header(name);
    if (!value) continue;
    if (name == "authorization" && value->starts_with("Bearer ")) value->remove_prefix(7);
    return *value;
  }
  return {};
}

/// The directives in a model's name: all of it, or what follows "mock/".
struct ModelWords {
  std::optional<std::vector<Directive>> directives;
  bool demanded = false;  ///< the name says mock/, so the words must be understood
};

ModelWords model_words(std::string_view model) {
  if (const size_t at = model.rfind("mock/"); at != std::string_view::npos && (at == 0 || model[at - 1] == '/')) {
    return {.directives = parse_model_directives(model.substr(at + 5)), .demanded = true};
  }
  return {.directives = parse_model_directives(model)};
}

int64_t number_or(const std::optional<std::string>& text, int64_t otherwise) {
  if (!text) return otherwise;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc{} && end == text->data() + text->size() && value >= 0 ? value : otherwise;
}

}  // namespace

struct MockServer::Impl {
  Impl(MockOptions given, const base::Clock& clock_given, std::unique_ptr<Record> made)
      : options(std::move(given)),
        clock(clock_given),
        record(std::move(made)),
        script(options.script.rules, options.seed) {}

  MockOptions options;
  const base::Clock& clock;
  std::unique_ptr<Record> record;
  Plan base_plan;  ///< before any request has its say
  Script script;
  std::vector<std::string> models;
  std::unique_ptr<wire::HttpServer> http;

  async::Task<> handle(wire::Request& request, wire::ResponseWriter& writer);
  async::Task<> answer(wire::Request& request, wire::ResponseWriter& writer, const Target& target, Entry& entry);
  wire::Response about(const wire::Request& request);
  Result<Plan> plan_for(const wire::Request& request, const Ask& ask, Entry& entry);
  [[nodiscard]] const Price& price_of(std::string_view model) const;
  void note(Entry& entry, const wire::Request& request, const Ask& ask) const;
};

const Price& MockServer::Impl::price_of(std::string_view model) const {
  for (const auto& [pattern, price] : options.script.prices) {
    if (glob(pattern, model)) return price;
  }
  return options.price;
}

Result<Plan> MockServer::Impl::plan_for(const wire::Request& request, const Ask& ask, Entry& entry) {
  Plan plan = base_plan;
  if (const auto choice = script.choose({.path = request.path, .key = api_key(request), .ask = &ask})) {
    TESSERA_CHECK(follow(plan, *choice->directives));
    entry.rule = options.script.rules[choice->rule].name;
  }
  const ModelWords words = model_words(ask.model);
  if (words.directives) {
    Plan changed = plan;
    const auto followed = follow(changed, *words.directives);
    // "text-embedding-3-small" only looks like a directive.
    if (!followed && words.demanded) return std::unexpected(followed.error());
    if (followed) plan = std::move(changed);
  } else if (words.demanded) {
    return base::fail(base::Code::not_found, "MODEL_NOT_FOUND",
                      "the model \"" + ask.model.substr(0, 100) +
                          "\" is none that the mock understands; after mock/ stand directives joined by +, such as "
                          "mock/tokens-50+rate-20");
  }
  if (!request.query.empty()) {
    if (const auto query = request.query_value("mock")) TESSERA_CHECK(follow(plan, parse_directives(*query)));
  }
  if (const auto header = request.header("x-mock")) TESSERA_CHECK(follow(plan, parse_directives(*header)));
  TESSERA_CHECK(follow(plan, ask.directives));
  return plan;
}

void MockServer::Impl::note(Entry& entry, const wire::Request& request, const Ask& ask) const {
  entry.dialect = to_string(ask.dialect);
  entry.model = ask.model;
  entry.user = ask.user;
  entry.stream = ask.stream;
  entry.choices = ask.choices;
  entry.messages = ask.dialect == Dialect::embeddings ? static_cast<int64_t>(ask.inputs.size()) : ask.messages;
  entry.max_tokens = ask.max_tokens.value_or(0);
  entry.tools = ask.tools;
  entry.field_names = ask.fields;
  if (const auto id = request.header("x-request-id")) entry.request_id = id->substr(0, 200);
  if (const auto key = api_key(request); !key.empty()) {
    entry.key = fmt::format("{:08x}", base::hash64(key) & 0xFFFFFFFFU);
  }
}

async::Task<> MockServer::Impl::answer(wire::Request& request, wire::ResponseWriter& writer, const Target& target,
                                       Entry& entry) {
  auto read = target.dialect == Dialect::transcription
                  ? read_form(request.body, request.header("content-type").value_or(""))
                  : read_ask(target.dialect, request.body);
  Ask ask;
  ask.dialect = target.dialect;
  Result<Plan> plan{};
  if (read) {
    ask = *std::move(read);
    if (!target.model.empty() && (ask.model.empty() || target.dialect == Dialect::gemini)) ask.model = target.model;
    if (target.dialect == Dialect::gemini) {
      ask.stream = target.stream;
      ask.array_stream = target.stream && request.query_value("alt") != "sse";
    }
    note(entry, request, ask);
    if (ask.model.empty()) {
      plan = base::fail(base::Code::invalid, "BAD_FIELD", "\"model\" must be given", "", "model");
    } else {
      plan = plan_for(request, ask, entry);
    }
  } else {
    plan = std::unexpected(read.error());
  }
  const Plan none;
  Performance show{.ask = ask,
                   .plan = plan ? *plan : none,
                   .head = {.seq = entry.seq, .model = ask.model, .created = entry.at_ms / 1000},
                   .draws = Draws(options.seed, entry.seq),
                   .clock = clock,
                   .writer = writer,
                   .entry = entry};
  if (!plan) {
    const bool unknown = plan.error().code == base::Code::not_found;
    co_await send_error(show, unknown ? 404 : 400, unknown ? "model_not_found" : "invalid_value", plan.error().message);
    if (entry.outcome == Outcome::error) entry.outcome = Outcome::invalid;
    co_return;
  }
  entry.fault = fault_of(*plan);
  co_await perform(show);
  const Price& price = price_of(ask.model);
  entry.cost = (entry.usage.prompt - entry.usage.cached) * price.input + entry.usage.cached * price.cached_input +
               entry.usage.completion * price.output;
}

wire::Response MockServer::Impl::about(const wire::Request& request) {
  const std::string_view path = request.path;
  const bool reads = request.method == wire::Method::get || request.method == wire::Method::head;
  if (path == "/mock/reset" && request.method == wire::Method::post) {
    record->reset();
    script.reset();
    return json_response(200, R"({"reset":true})");
  }
  if (reads && path == "/mock/transcript") {
    const auto since = static_cast<uint64_t>(number_or(request.query_value("since"), 0));
    const auto limit = static_cast<size_t>(number_or(request.query_value("limit"), kTranscriptMax));
    wire::Response response = json_response(200, record->lines(since, std::min(limit, kTranscriptMax)));
    response.content_type = "application/x-ndjson";
    return response;
  }
  if (reads && path == "/mock/totals") return json_response(200, record->totals());
  if (reads && path == "/mock/rules") {
    std::string out = "[";
    for (const Script::RuleState& rule : script.state()) {
      if (out.size() > 1) out += ',';
      out += R"({"name":)";
      base::append_json_string(out, rule.name);
      out += fmt::format(R"(,"matched":{},"applied":{}}})", rule.matched, rule.applied);
    }
    return json_response(200, out + "]");
  }
  if (reads && (path == "/health" || path == "/health/ready")) return json_response(200, R"({"status":"ok"})");
  if (reads && path.ends_with("/models")) return json_response(200, models_body(models));
  if (const size_t at = path.rfind("/models/"); reads && at != std::string_view::npos) {
    return json_response(200, model_body(path.substr(at + 8)));
  }
  return json_response(404, error_body(Dialect::openai, 404, "unknown_url",
                                       "the mock has no such address; see tessera mock-llm --help"));
}

async::Task<> MockServer::Impl::handle(wire::Request& request, wire::ResponseWriter& writer) {
  const auto target = request.method == wire::Method::post ? target_of(request.path) : std::nullopt;
  if (!target) {
    (void)co_await writer.send(about(request));
    co_return;
  }
  const base::SteadyTime start = clock.now();
  Entry entry;
  entry.seq = record->begin();
  entry.at_ms = clock.unix_ms();
  entry.method = request.method_text;
  entry.path = request.path;
  entry.client_port = request.remote_port;
  entry.body_bytes = request.body.size();
  if (options.keep_text) entry.text = request.body;
  co_await answer(request, writer, *target, entry);
  entry.took_ms = std::chrono::duration<double, std::milli>(clock.now() - start).count();
  record->end(std::move(entry));
}

MockServer::MockServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<MockServer>> MockServer::start(MockOptions options, async::Shards& shards,
                                                      const base::Clock& clock) {
  Plan plan;
  TESSERA_CHECK(follow(plan, options.script.defaults));
  TESSERA_CHECK(follow(plan, options.directives));
  if (options.script.seed) options.seed = *options.script.seed;
  TESSERA_TRY(auto record, Record::create(options.record));
  auto impl = std::make_unique<Impl>(std::move(options), clock, std::move(record));
  impl->base_plan = std::move(plan);
  impl->models = {"mock/lorem", "mock/echo"};
  for (const std::string& model : impl->options.script.models) impl->models.push_back(model);
  for (const auto& [pattern, price] : impl->options.script.prices) {
    if (pattern.find('*') == std::string::npos && std::ranges::find(impl->models, pattern) == impl->models.end()) {
      impl->models.push_back(pattern);
    }
  }
  wire::HttpServerOptions http;
  http.address = impl->options.address;
  http.port = impl->options.port;
  http.body_bytes_max = kBodyBytesMax;
  http.connections_max = impl->options.connections_max;
  http.keep_alive_timeout = base::Millis(600'000);
  Impl* const self = impl.get();
  TESSERA_TRY(impl->http, wire::HttpServer::create(
                              std::move(http), shards, clock,
                              [self](wire::Request& request, wire::ResponseWriter& writer) {
                                return self->handle(request, writer);
                              },
                              [](int status, std::string_view code, std::string_view message) {
                                return json_response(status, error_body(Dialect::openai, status, code, message));
                              }));
  return std::unique_ptr<MockServer>(new MockServer(std::move(impl)));
}

MockServer::~MockServer() {
  impl_->http->stop(base::Millis(0));
}

uint16_t MockServer::port() const {
  return impl_->http->port();
}

}  // namespace tessera::mock
