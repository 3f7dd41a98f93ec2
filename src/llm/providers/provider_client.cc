#include "llm/providers/provider_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <ctime>

#include "async/deadline.h"
#include "llm/routing/backoff.h"
#include "llm/routing/verdict.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using base::Code;
using core::Task;

constexpr size_t kErrorBodyMax = 64 * 1024;
constexpr size_t kMessageMax = 600;
constexpr uint64_t kResponseMax = 64ULL * 1024 * 1024;
constexpr std::chrono::hours kRetryAfterMax{1};

struct ProviderMessage {
  std::string message;
  std::string code;
  std::string param;
};

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// {"error":{"message","type","code","param"}}, {"error":"..."} or {"message":"..."}; anything else says nothing.
ProviderMessage read_message(std::string_view body) {
  ProviderMessage out;
  boost::system::error_code failed;
  const json::value parsed = json::parse(body.substr(0, kErrorBodyMax), failed);
  if (failed || !parsed.is_object()) return out;
  const json::object* object = &parsed.get_object();
  if (const json::value* error = object->if_contains("error")) {
    if (error->is_string()) out.message = std::string(error->get_string());
    if (error->is_object()) object = &error->get_object();
  }
  if (out.message.empty()) out.message = text_at(*object, "message");
  out.code = text_at(*object, "code");
  if (out.code.empty()) out.code = text_at(*object, "type");
  out.param = text_at(*object, "param");
  if (out.message.size() > kMessageMax) {
    size_t cut = kMessageMax;
    while (cut > 0 && (static_cast<unsigned char>(out.message[cut]) & 0xC0U) == 0x80U) --cut;
    out.message.resize(cut);
  }
  return out;
}

std::optional<int64_t> parse_http_date(std::string_view text) {
  std::tm parts{};
  const std::string copy(text.substr(0, 64));
  const char* end = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S", &parts);
  if (end == nullptr) return std::nullopt;
  return static_cast<int64_t>(::timegm(&parts)) * 1000;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0)) return std::nullopt;
  return value;
}

base::Millis bounded_millis(double ms) {
  const double most = static_cast<double>(base::Millis(kRetryAfterMax).count());
  return base::Millis(static_cast<int64_t>(std::min(ms, most)));
}

// Providers that have no code for it say in words that a conversation is too long: Anthropic, Gemini, vLLM, Mistral.
bool tells_too_long(std::string_view message) {
  static constexpr std::string_view kWords[] = {"maximum context length", "prompt is too long", "exceed context limit",
                                                "exceeds the maximum number of tokens", "context window"};
  return std::ranges::any_of(kWords, [&](std::string_view words) { return message.find(words) != message.npos; });
}

// Refusals that another model might not share have names of their own; the router tells them apart by these.
std::string refusal_name(int status, std::string_view code, std::string_view message) {
  if (code == "content_filter" || code == "content_policy_violation") return "CONTENT_FILTERED";
  if (code == "context_length_exceeded" || code == "exceed_context_size_error") return "CONTEXT_TOO_LONG";
  if ((status == 400 || status == 413) && tells_too_long(message)) return "CONTEXT_TOO_LONG";
  if (status == 404) return "PROVIDER_MODEL_MISSING";
  return "PROVIDER_REFUSED";
}

bool is_success(int status) {
  return status >= 200 && status < 300;
}

}  // namespace

void remove_secret(std::string& text, std::string_view secret) {
  constexpr std::string_view kInstead = "(key)";
  if (secret.empty()) return;
  for (size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + kInstead.size())) {
    text.replace(at, secret.size(), kInstead);
  }
}

std::optional<base::Millis> retry_after_of(const std::vector<wire::Header>& headers, int64_t unix_ms) {
  std::optional<base::Millis> found;
  for (const wire::Header& header : headers) {
    if (wire::equal_nocase(header.name, "retry-after-ms")) {
      if (const auto ms = parse_number(header.value)) return bounded_millis(*ms);
    }
    if (!wire::equal_nocase(header.name, "retry-after")) continue;
    if (const auto seconds = parse_number(header.value)) {
      found = bounded_millis(*seconds * 1000);
    } else if (const auto date = parse_http_date(header.value)) {
      found = bounded_millis(static_cast<double>(std::max<int64_t>(0, *date - unix_ms)));
    }
  }
  return found;
}

base::Error provider_error(std::string_view provider, int status, std::string_view body,
                           std::optional<base::Millis> retry_after) {
  const ProviderMessage said = read_message(body);
  std::string detail = fmt::format("provider {}: status {}", provider, status);
  if (said.code.size() <= 64 && !said.code.empty()) detail += ", code " + said.code;
  const auto make = [&](Code code, std::string name, std::string message) {
    base::Error error = base::make_error(code, std::move(name), std::move(message), detail);
    error.retry_after = retry_after;
    return error;
  };
  if (status == 401 || status == 403) {
    return make(Code::upstream, "PROVIDER_AUTH",
                fmt::format("the provider {} does not accept this server's key; the operator must check it", provider));
  }
  if (status == 429 && (said.code == "insufficient_quota" || said.code == "billing_hard_limit_reached")) {
    return make(Code::exhausted, "PROVIDER_QUOTA",
                fmt::format("this server's quota at the provider {} is spent; the operator must raise it", provider));
  }
  if (status == 429) {
    return make(Code::exhausted, "PROVIDER_RATE_LIMIT",
                fmt::format("the provider {} asks to slow down; try again later", provider));
  }
  if (status == 408 || status == 504) {
    return make(Code::deadline, "PROVIDER_TIMEOUT",
                fmt::format("the provider {} did not answer in time; try again", provider));
  }
  if (status == 503 || status == 529) {
    return make(Code::unavailable, "PROVIDER_UNAVAILABLE",
                fmt::format("the provider {} is not available at the moment; try again later", provider));
  }
  if (status >= 400 && status < 500) {
    base::Error error =
        make(Code::invalid, refusal_name(status, said.code, said.message),
             said.message.empty() ? fmt::format("the provider {} refused the request with status {}", provider, status)
                                  : said.message);
    error.param = said.param;
    return error;
  }
  return make(Code::upstream, "PROVIDER_FAILED",
              fmt::format("the provider {} failed with status {}; try again", provider, status));
}

ProviderClient::ProviderClient(ProviderOptions options, std::shared_ptr<wire::HttpClient> http,
                               const base::Clock& clock, base::Random& random)
    : options_(std::move(options)),
      http_(std::move(http)),
      clock_(clock),
      random_(random),
      limiter_({.concurrent_max = options_.concurrent_max, .waiting_max = options_.waiting_max}) {
  if (options_.base_url.empty()) options_.base_url = options_.kind->base_url;
  while (options_.base_url.ends_with('/')) options_.base_url.pop_back();
}

std::string_view ProviderClient::upstream_name(std::string_view model) const {
  if (!options_.upstream_model.empty()) return options_.upstream_model;
  if (std::ranges::find(options_.models, model) != options_.models.end()) return model;
  const std::string& name = options_.name;
  const bool named = model.size() > name.size() + 1 && model.starts_with(name) && model[name.size()] == '/';
  return named ? model.substr(name.size() + 1) : model;
}

base::Result<wire::ClientRequest> ProviderClient::prepare(const core::RequestContext& context,
                                                          const Outgoing& outgoing) const {
  TESSERA_CHECK(context.check(clock_));
  wire::ClientRequest request;
  request.method = outgoing.body.empty() ? "GET" : "POST";
  if (!outgoing.method.empty()) request.method = outgoing.method;
  request.url = options_.base_url + outgoing.path;
  request.body = outgoing.body;
  if (!outgoing.body.empty()) request.headers.push_back({"Content-Type", outgoing.content_type});
  const ProviderKind& kind = *options_.kind;
  if (!options_.api_key.empty()) {
    request.headers.push_back({std::string(kind.auth_header), std::string(kind.auth_prefix) + options_.api_key});
  }
  if (const size_t colon = kind.fixed_header.find(": "); colon != std::string_view::npos) {
    request.headers.push_back(
        {std::string(kind.fixed_header.substr(0, colon)), std::string(kind.fixed_header.substr(colon + 2))});
  }
  for (const auto& [name, value] : options_.headers) request.headers.push_back({name, value});
  request.body_bytes_max = kResponseMax;
  request.addresses = options_.addresses;
  request.cancel = context.cancel;
  base::Millis left = options_.total_timeout;
  if (context.deadline != base::SteadyTime::max()) {
    left = std::min(left, std::max(base::Millis(1), std::chrono::ceil<base::Millis>(context.deadline - clock_.now())));
  }
  request.total_timeout = left;
  request.connect_timeout = std::min(options_.connect_timeout, left);
  request.first_byte_timeout = std::min(options_.first_token_timeout, left);
  request.idle_timeout = std::min(options_.idle_timeout, left);
  return request;
}

base::Error ProviderClient::broken(const core::RequestContext& context, base::Error error) const {
  if (error.code == Code::cancelled) return error;
  if (const auto state = context.check(clock_); !state) return state.error();
  std::string detail = fmt::format("provider {}: {}: {}", options_.name, error.name, error.detail);
  if (error.code == Code::deadline) {
    return base::make_error(Code::deadline, "PROVIDER_TIMEOUT",
                            fmt::format("the provider {} stopped answering; try again", options_.name),
                            std::move(detail));
  }
  return base::make_error(Code::upstream, "STREAM_BROKEN",
                          fmt::format("the provider {} broke off its answer; try again", options_.name),
                          std::move(detail));
}

Task<base::Result<ProviderClient::Stream>> ProviderClient::try_once(const core::RequestContext& context,
                                                                    const Outgoing& outgoing) {
  TESSERA_CO_TRY(wire::ClientRequest request, prepare(context, outgoing));
  Stream stream;
  async::WaitBounds bounds;
  if (context.deadline != base::SteadyTime::max()) bounds.deadline = context.deadline;
  bounds.token = context.cancel;
  TESSERA_CO_TRY(stream.permit, co_await limiter_.acquire(bounds));
  auto opened = co_await http_->open(std::move(request));
  if (!opened) {
    base::Error error = std::move(opened).error();
    if (error.code == Code::cancelled) co_return std::unexpected(std::move(error));
    TESSERA_CO_CHECK(context.check(clock_));
    std::string detail = fmt::format("provider {}: {}: {}", options_.name, error.name, error.detail);
    if (error.code == Code::deadline) {
      co_return base::fail(Code::deadline, "PROVIDER_TIMEOUT",
                           fmt::format("the provider {} did not answer in time; try again", options_.name),
                           std::move(detail));
    }
    if (error.code == Code::unavailable) {
      co_return base::fail(Code::unavailable, "PROVIDER_UNAVAILABLE",
                           fmt::format("the provider {} cannot be reached; try again later", options_.name),
                           std::move(detail));
    }
    const std::string_view why =
        error.name == "TLS_FAILED"
            ? "could not prove who it is (TLS); the operator must check its certificate, and llm.ca_file where the "
              "authority behind it is not a public one"
            : "could not be used; the operator must check its address";
    co_return base::fail(Code::upstream, "PROVIDER_UNUSABLE", fmt::format("the provider {} {}", options_.name, why),
                         std::move(detail));
  }
  stream.body = *std::move(opened);
  const int status = stream.body->status();
  if (is_success(status)) co_return stream;

  const auto retry_after = retry_after_of(stream.body->headers(), clock_.unix_ms());
  std::string said;
  while (said.size() < kErrorBodyMax) {
    auto piece = co_await stream.body->next();
    if (!piece || !*piece) break;  // a cut error body still has its status
    said += **piece;
  }
  TESSERA_CO_CHECK(context.check(clock_));
  remove_secret(said, options_.api_key);
  co_return std::unexpected(provider_error(options_.name, status, said, retry_after));
}

std::optional<base::Millis> ProviderClient::pause_before_retry(const core::RequestContext& context,
                                                               const base::Error& error, int64_t attempt) const {
  if (attempt >= options_.attempts_max || !judge(error).again) return std::nullopt;
  const FailedTry failed{
      .attempt = attempt, .asked = error.retry_after, .now = clock_.now(), .deadline = context.deadline};
  return llm::pause_before_retry({.min = options_.backoff_min, .max = options_.backoff_max}, failed, random_);
}

Task<base::Result<ProviderClient::Stream>> ProviderClient::open(const core::RequestContext& context, std::string path,
                                                                std::string body, std::string content_type,
                                                                std::string method) {
  const Outgoing outgoing{std::move(path), std::move(body), std::move(content_type), std::move(method)};
  for (int64_t attempt = 1;; ++attempt) {
    auto stream = co_await try_once(context, outgoing);
    if (stream) co_return stream;
    const auto pause = pause_before_retry(context, stream.error(), attempt);
    if (!pause) co_return stream;
    TESSERA_CO_CHECK(co_await async::sleep_for(*pause, context.cancel));
    if (options_.on_retry) options_.on_retry();
  }
}

Task<base::Result<std::string>> ProviderClient::call(const core::RequestContext& context, std::string path,
                                                     std::string body, std::string method) {
  TESSERA_CO_TRY(Stream stream,
                 co_await open(context, std::move(path), std::move(body), "application/json", std::move(method)));
  std::string whole;
  for (;;) {
    auto piece = co_await stream.body->next();
    if (!piece) co_return std::unexpected(broken(context, std::move(piece).error()));
    if (!*piece) co_return whole;
    whole += **piece;
  }
}

}  // namespace tessera::llm
