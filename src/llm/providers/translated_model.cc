#include "llm/providers/translated_model.h"

#include <vector>

#include "llm/providers/openai_model.h"
#include "llm/providers/translation.h"
#include "wire/sse.h"

namespace tessera::llm {
namespace {

using core::Task;

constexpr base::Millis kEndMax{20};
constexpr size_t kEventBytesMax = 16UL * 1024 * 1024;

base::Result<std::string> native_request(const ProviderOptions& options, std::string_view model,
                                         const core::RelayRequest& request) {
  if (options.kind->format == WireFormat::anthropic) return anthropic_request(options.name, model, request);
  return gemini_request(options.name, model, request);
}

std::unique_ptr<AnswerReader> native_reader(const ProviderOptions& options, AnswerWriter& writer) {
  const AnswerMeans means{options.name, options.api_key, writer};
  return options.kind->format == WireFormat::anthropic ? anthropic_reader(means) : gemini_reader(means);
}

}  // namespace

/// One call on its way: what is asked, where, and who reads the answer.
struct TranslatedModel::Call {
  std::string path;
  std::string body;
  AnswerReader& reader;
  AnswerWriter& writer;
  core::RelayReport& report;
};

TranslatedModel::TranslatedModel(std::shared_ptr<ProviderClient> client) : client_(std::move(client)) {}

Task<base::Result<std::string>> TranslatedModel::relay(const core::RequestContext& context,
                                                       const core::RelayRequest& request, core::RelaySink* sink,
                                                       core::RelayReport& report) {
  const ProviderOptions& options = client_->options();
  const std::string_view model = client_->upstream_name(request.model);
  report.provider = options.name;
  report.model = model;
  TESSERA_CO_TRY(std::string body, native_request(options, model, request));
  AnswerWriter writer(report, client_->clock().unix_ms() / 1000, request.include_usage);
  const std::unique_ptr<AnswerReader> reader = native_reader(options, writer);
  const std::string_view path =
      sink != nullptr && !options.kind->chat_stream.empty() ? options.kind->chat_stream : options.kind->chat;
  Call call{options.path(path, model), std::move(body), *reader, writer, report};
  if (sink != nullptr) {
    TESSERA_CO_CHECK(co_await stream(context, call, *sink));
    co_return std::string();
  }
  TESSERA_CO_TRY(const std::string answer, co_await client_->call(context, std::move(call.path), std::move(call.body)));
  co_return reader->whole(answer);
}

Task<base::Result<>> TranslatedModel::stream(const core::RequestContext& context, const Call& call,
                                             core::RelaySink& sink) {
  TESSERA_CO_TRY(ProviderClient::Stream response, co_await client_->open(context, call.path, call.body));
  wire::SseParser parser(kEventBytesMax);
  std::vector<wire::SseEvent> events;
  std::string out;
  while (!call.reader.done()) {
    auto bytes = co_await response.body->next();
    const bool ended = !bytes || !*bytes;
    if (!bytes && !call.reader.complete()) {
      co_return std::unexpected(client_->broken(context, std::move(bytes).error()));
    }
    events.clear();
    out.clear();
    base::Result<> read = parser.feed(ended ? std::string_view("\n\n") : std::string_view(**bytes), events);
    for (const wire::SseEvent& event : events) {
      if (read) read = call.reader.event(event.data, out);
    }
    if (ended && !call.reader.complete() && (read || read.error().name == "BAD_RESPONSE")) {
      read = std::unexpected(
          client_->broken(context, base::make_error(base::Code::upstream, "STREAM_ENDED", "the stream just ended")));
    }
    if (read && (ended || call.reader.done())) call.writer.end(out);
    if (!out.empty()) {
      call.report.started = true;
      TESSERA_CO_CHECK(co_await sink.on_events(out));
    }
    TESSERA_CO_CHECK(read);
    if (ended) co_return base::Result<>{};
  }
  response.body->set_idle_timeout(kEndMax);
  (void)co_await response.body->next();
  co_return base::Result<>{};
}

std::shared_ptr<core::ChatModel> make_provider_model(std::shared_ptr<ProviderClient> client) {
  if (client->options().kind->format == WireFormat::openai) return std::make_shared<OpenAiModel>(std::move(client));
  return std::make_shared<TranslatedModel>(std::move(client));
}

}  // namespace tessera::llm
