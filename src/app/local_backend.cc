#include <algorithm>

#include "app/backend.h"
#include "app/engine.h"
#include "async/run_blocking.h"
#include "chat/chat_service.h"
#include "rag/ingest.h"
#include "wire/http_client.h"

namespace tessera::app {
namespace {

using base::Result;

/// Prints tokens and lets everything else pass.
class PrintingSink final : public chat::ChatEventSink {
 public:
  explicit PrintingSink(const TokenPrinter& printer) : printer_(printer) {}
  core::Task<Result<>> on_event(chat::ChatEvent event) override {
    if (const auto* const token = std::get_if<chat::Token>(&event)) printer_(token->text);
    co_return Result<>{};
  }

 private:
  const TokenPrinter& printer_;
};

/// A Tessera in this process.
class LocalBackend final : public Backend {
 public:
  explicit LocalBackend(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  async::Task<Result<IngestedDocument>> ingest(IncomingDocument document) override {
    core::RequestTrace trace;
    const core::RequestContext context = make_context(trace);
    const std::string url = document.url;
    rag::IngestRequest request = request_for(std::move(document));
    if (!url.empty()) TESSERA_CO_CHECK(co_await fetch(url, request));
    TESSERA_CO_TRY(const rag::IngestReceipt receipt, co_await engine_->ingest().ingest(context, std::move(request)));
    co_return IngestedDocument{receipt.document_id, std::string(receipt.status()), receipt.chunks};
  }

  async::Task<std::vector<Result<IngestedDocument>>> ingest_batch(std::vector<IncomingDocument> documents) override {
    core::RequestTrace trace;
    const core::RequestContext context = make_context(trace);
    std::vector<rag::IngestRequest> requests;
    requests.reserve(documents.size());
    for (IncomingDocument& document : documents) requests.push_back(request_for(std::move(document)));
    const auto receipts = co_await engine_->ingest().ingest_batch(context, std::move(requests));
    std::vector<Result<IngestedDocument>> answers;
    answers.reserve(receipts.size());
    for (const auto& receipt : receipts) {
      if (receipt) {
        answers.emplace_back(IngestedDocument{receipt->document_id, std::string(receipt->status()), receipt->chunks});
      } else {
        answers.emplace_back(std::unexpected(receipt.error()));
      }
    }
    co_return answers;
  }
  [[nodiscard]] size_t batch_max() const override { return 64; }

  async::Task<Result<SearchAnswer>> search(Search search) override {
    core::RequestTrace trace;
    const core::RequestContext context = make_context(trace);
    core::RetrievalRequest request;
    request.collection = {context.tenant, std::move(search.collection)};
    request.query = std::move(search.query);
    request.top_k = static_cast<size_t>(search.top_k);
    request.mode = search.mode;
    TESSERA_CO_TRY(core::RetrievalResult found, co_await engine_->retriever().retrieve(context, std::move(request)));
    SearchAnswer answer;
    answer.took_ms = found.took_ms;
    answer.degraded = trace.degraded();
    for (core::Passage& passage : found.passages) {
      answer.results.push_back({.document_id = passage.document_id,
                                .chunk_id = core::chunk_id(passage.document_id, passage.ordinal),
                                .title = std::move(passage.title),
                                .text = std::move(passage.text),
                                .score = passage.score,
                                .start = passage.start,
                                .end = passage.end});
    }
    co_return answer;
  }

  async::Task<Result<Answer>> ask(Question question, const TokenPrinter& on_token) override {
    core::RequestTrace trace;
    const core::RequestContext context = make_context(trace);
    const config::ChatSettings& chat = engine_->settings().chat;
    chat::ChatTurn turn;
    turn.message = std::move(question.text);
    turn.collection = std::move(question.collection);
    turn.model = std::move(question.model);
    turn.session_id = std::move(question.session_id);
    turn.config.top_k = static_cast<size_t>(question.top_k);
    turn.config.otherwise = {.temperature = chat.temperature, .max_tokens = chat.max_tokens};
    turn.config.max_history_messages = static_cast<size_t>(chat.max_history_messages);
    turn.config.max_history_tokens = static_cast<size_t>(chat.max_history_tokens);
    PrintingSink sink(on_token);
    TESSERA_CO_TRY(chat::ChatResponse response, co_await engine_->chat().run(context, std::move(turn), &sink));
    Answer answer;
    answer.session_id = std::move(response.session_id);
    answer.text = std::move(response.answer);
    answer.model = std::move(response.model);
    answer.timings = std::move(response.timings);
    answer.degraded = std::move(response.degraded);
    for (chat::Citation& source : response.sources) {
      answer.sources.push_back({.n = source.n,
                                .document_id = std::move(source.document_id),
                                .title = std::move(source.title),
                                .snippet = std::move(source.snippet)});
    }
    co_return answer;
  }

  [[nodiscard]] size_t parallel() const override { return 16; }

 private:
  // As a directory task of the server asks for the same file, so that either knows what the other took in.
  static rag::IngestRequest request_for(IncomingDocument document) {
    rag::IngestRequest request;
    request.bytes = std::move(document.bytes);
    request.name = std::move(document.name);
    request.source = std::move(document.source);
    request.source_stamp = document.source_stamp;
    request.document_id = std::move(document.document_id);
    request.collection = std::move(document.collection);
    if (!document.path.empty()) request.metadata["path"] = std::move(document.path);
    return request;
  }

  // The person at the terminal may fetch what they like; addresses are not judged as for strangers' requests.
  async::Task<Result<>> fetch(std::string url, rag::IngestRequest& request) {
    const config::IngestSettings& ingest = engine_->settings().ingest;
    wire::ClientRequest get;
    get.url = url;
    get.total_timeout = ingest.fetch_timeout_ms;
    get.body_bytes_max = static_cast<uint64_t>(ingest.document_bytes_max);
    TESSERA_CO_TRY(wire::ClientResponse response, co_await engine_->http().fetch(std::move(get)));
    if (response.status != 200) {
      co_return base::fail(base::Code::upstream, "FETCH_FAILED",
                           "The URL answered with status " + std::to_string(response.status) + ".");
    }
    request.content_type = std::string(response.header("content-type").value_or(""));
    const std::string path = url.substr(0, url.find_first_of("?#"));
    request.name = path.substr(path.rfind('/') + 1);
    request.source = std::move(url);
    request.bytes = std::move(response.body);
    co_return Result<>{};
  }

  core::RequestContext make_context(core::RequestTrace& trace) {
    core::RequestContext context;
    context.request_id = engine_->ids().next();
    context.tenant.app_id = "default";
    context.trace = &trace;
    return context;
  }

  std::unique_ptr<Engine> engine_;
};

}  // namespace

Result<std::unique_ptr<Backend>> open_local_backend(const config::Snapshot& settings, base::Logger& log) {
  // A command is over soon: it starts the local models that it asks, not all that a server would keep ready.
  const auto own = std::make_shared<config::Settings>(*settings);
  own->llama_cpp.start = "demand";
  TESSERA_TRY(std::unique_ptr<Engine> engine, Engine::create(own, log));
  TESSERA_CHECK(async::sync_wait(engine->wait_ready()));
  return std::make_unique<LocalBackend>(std::move(engine));
}

}  // namespace tessera::app
