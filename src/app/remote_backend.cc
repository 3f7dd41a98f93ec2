#include <fmt/format.h>

#include <boost/json.hpp>

#include "app/backend.h"
#include "async/run_blocking.h"
#include "base/hash.h"
#include "wire/http_client.h"

namespace tessera::app {
namespace {

namespace json = boost::json;
using base::Code;
using base::Result;

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

double number_of(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return 0;
  return value->is_double()
             ? value->as_double()
             : static_cast<double>(value->is_int64() ? value->as_int64() : static_cast<int64_t>(value->as_uint64()));
}

int64_t integer_of(const json::object& object, std::string_view key) {
  return static_cast<int64_t>(number_of(object, key));
}

std::vector<std::string> texts_of(const json::object& object, std::string_view key) {
  std::vector<std::string> result;
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) return result;
  for (const json::value& item : value->as_array()) {
    if (item.is_string()) result.emplace_back(item.as_string());
  }
  return result;
}

template <class F>
void each_object(const json::object& object, std::string_view key, F f) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) return;
  for (const json::value& item : value->as_array()) {
    if (item.is_object()) f(item.as_object());
  }
}

Result<json::object> parse_object(std::string_view text) {
  boost::system::error_code failed;
  json::value value = json::parse(text, failed);
  if (failed || !value.is_object()) {
    return base::fail(Code::upstream, "BAD_RESPONSE", "what answers there does not speak Tessera's language");
  }
  return std::move(value.as_object());
}

// {"error": {"code", "message"}} as an error of ours.
std::unexpected<base::Error> server_error(const json::object& body) {
  const json::value* const error = body.if_contains("error");
  if (error == nullptr || !error->is_object()) {
    return base::fail(Code::upstream, "BAD_RESPONSE", "the server answered with an error that says nothing");
  }
  return base::fail(Code::upstream, text_of(error->as_object(), "code"), text_of(error->as_object(), "message"));
}

Answer answer_of(const json::object& body) {
  Answer answer;
  answer.session_id = text_of(body, "session_id");
  answer.text = text_of(body, "answer");
  answer.model = text_of(body, "model");
  answer.degraded = texts_of(body, "degraded");
  each_object(body, "sources", [&](const json::object& source) {
    answer.sources.push_back({.n = integer_of(source, "n"),
                              .document_id = text_of(source, "document_id"),
                              .title = text_of(source, "title"),
                              .snippet = text_of(source, "snippet")});
  });
  if (const auto* const timings = body.if_contains("timings"); timings != nullptr && timings->is_object()) {
    for (const auto& stage : timings->as_object()) {
      answer.timings.emplace_back(stage.key(), number_of(timings->as_object(), stage.key()));
    }
  }
  return answer;
}

std::string_view word_of(core::SearchMode mode) {
  switch (mode) {
    case core::SearchMode::hybrid:
      return "hybrid";
    case core::SearchMode::dense:
      return "dense";
    case core::SearchMode::lexical:
      return "lexical";
  }
  return {};
}

// A quoted string of a multipart header: quotes and line breaks as browsers write them.
std::string form_quoted(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '"') {
      result += "%22";
    } else if (c == '\r' || c == '\n') {
      result += ' ';
    } else {
      result += c;
    }
  }
  return result;
}

/// A running server, over HTTP.
class RemoteBackend final : public Backend {
 public:
  RemoteBackend(std::string url, std::string api_key) : url_(std::move(url)), api_key_(std::move(api_key)) {
    while (url_.ends_with('/')) url_.pop_back();
  }

  async::Task<Result<IngestedDocument>> ingest(IncomingDocument document) override {
    wire::ClientRequest request = make_post("/ingest");
    if (!document.url.empty()) {
      json::object body{{"url", document.url}, {"collection", document.collection}};
      if (!document.document_id.empty()) body["document_id"] = document.document_id;
      set_json(request, body);
    } else {
      set_form(request, document);
    }
    TESSERA_CO_TRY(const json::object body, co_await fetch(std::move(request)));
    co_return IngestedDocument{text_of(body, "document_id"), text_of(body, "status"), integer_of(body, "chunks")};
  }

  async::Task<Result<SearchAnswer>> search(Search search) override {
    wire::ClientRequest request = make_post("/api/search");
    set_json(request, {{"query", search.query},
                       {"collection", search.collection},
                       {"top_k", search.top_k},
                       {"mode", word_of(search.mode)}});
    TESSERA_CO_TRY(const json::object body, co_await fetch(std::move(request)));
    SearchAnswer answer;
    answer.took_ms = number_of(body, "took_ms");
    answer.degraded = texts_of(body, "degraded");
    each_object(body, "results", [&](const json::object& result) {
      answer.results.push_back({.document_id = text_of(result, "document_id"),
                                .chunk_id = text_of(result, "chunk_id"),
                                .title = text_of(result, "title"),
                                .text = text_of(result, "text"),
                                .score = number_of(result, "score"),
                                .start = integer_of(result, "start"),
                                .end = integer_of(result, "end")});
    });
    co_return answer;
  }

  async::Task<Result<Answer>> ask(Question question, const TokenPrinter& on_token) override {
    wire::ClientRequest request = make_post("/api/chat");
    json::object body{{"message", question.text},
                      {"collection", question.collection},
                      {"config", json::object{{"top_k", question.top_k}}}};
    if (!question.model.empty()) body["model"] = question.model;
    if (!question.session_id.empty()) body["session_id"] = question.session_id;
    set_json(request, body);
    TESSERA_CO_TRY(const std::unique_ptr<wire::ClientStream> stream, co_await http_.open(std::move(request)));
    std::string buffer;
    while (true) {
      TESSERA_CO_TRY(const auto piece, co_await stream->next());
      if (!piece) break;
      buffer += *piece;
      if (stream->status() != 200) continue;
      size_t begin = 0;
      for (size_t end = 0; (end = buffer.find('\n', begin)) != std::string::npos; begin = end + 1) {
        TESSERA_CO_TRY(auto answer, take_event(std::string_view(buffer).substr(begin, end - begin), on_token));
        if (answer) co_return *std::move(answer);
      }
      buffer.erase(0, begin);
    }
    if (stream->status() == 200) {
      co_return base::fail(Code::upstream, "STREAM_BROKEN", "the answer broke off; ask again");
    }
    TESSERA_CO_TRY(const json::object refusal, parse_object(buffer));
    co_return server_error(refusal);
  }

  [[nodiscard]] size_t parallel() const override { return 8; }

 private:
  // One line of the stream: prints a token; gives the answer when it is done.
  static Result<std::optional<Answer>> take_event(std::string_view line, const TokenPrinter& on_token) {
    if (line.empty()) return std::nullopt;
    TESSERA_TRY(const json::object event, parse_object(line));
    const json::value* const data = event.if_contains("data");
    const std::string kind = text_of(event, "event");
    if (data == nullptr || !data->is_object()) return std::nullopt;
    if (kind == "token") on_token(text_of(data->as_object(), "text"));
    if (kind == "error") return server_error(data->as_object());
    if (kind == "done") return answer_of(data->as_object());
    return std::nullopt;
  }

  [[nodiscard]] wire::ClientRequest make_post(std::string_view path) const {
    wire::ClientRequest request;
    request.method = "POST";
    request.url = url_ + std::string(path);
    if (!api_key_.empty()) request.headers.push_back({"Authorization", "Bearer " + api_key_});
    request.first_byte_timeout = request.total_timeout = base::Millis(600'000);
    return request;
  }

  static void set_json(wire::ClientRequest& request, const json::object& body) {
    request.headers.push_back({"Content-Type", "application/json"});
    request.body = json::serialize(body);
  }

  static void set_form(wire::ClientRequest& request, const IncomingDocument& document) {
    // Cannot occur in the file: it is made from the file's own hash.
    const std::string boundary = "tessera-" + base::content_hash(document.bytes);
    const auto field = [&](std::string_view name, std::string_view value) {
      if (value.empty()) return;
      request.body +=
          fmt::format("--{}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n", boundary, name, value);
    };
    field("collection", document.collection);
    field("document_id", document.document_id);
    field("source", document.source);
    if (!document.path.empty()) field("metadata", json::serialize(json::object{{"path", document.path}}));
    request.body += fmt::format("--{}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\r\n",
                                boundary, form_quoted(document.name));
    request.body += document.bytes;
    request.body += fmt::format("\r\n--{}--\r\n", boundary);
    request.headers.push_back({"Content-Type", "multipart/form-data; boundary=" + boundary});
  }

  async::Task<Result<json::object>> fetch(wire::ClientRequest request) {
    TESSERA_CO_TRY(const wire::ClientResponse response, co_await http_.fetch(std::move(request)));
    TESSERA_CO_TRY(json::object body, parse_object(response.body));
    if (response.status >= 400) co_return server_error(body);
    co_return body;
  }

  std::string url_;
  std::string api_key_;
  wire::HttpClient http_;
};

}  // namespace

std::unique_ptr<Backend> open_remote_backend(std::string url, std::string api_key) {
  return std::make_unique<RemoteBackend>(std::move(url), std::move(api_key));
}

bool server_answers(const std::string& url) {
  wire::HttpClient http;
  wire::ClientRequest request;
  request.url = (url.ends_with('/') ? url.substr(0, url.size() - 1) : url) + "/health";
  request.connect_timeout = request.first_byte_timeout = request.total_timeout = base::Millis(2'000);
  const auto response = async::sync_wait(http.fetch(std::move(request)));
  return response && response->status == 200;
}

}  // namespace tessera::app
