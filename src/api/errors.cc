#include "api/errors.h"

#include "api/json_writer.h"

namespace tessera::api {
namespace {

/// OpenAI's `type` for a code, as its official clients expect it.
std::string_view openai_type(base::Code code) {
  switch (code) {
    case base::Code::invalid:
    case base::Code::too_large:
    case base::Code::unreadable:
    case base::Code::not_found:
    case base::Code::conflict:
      return "invalid_request_error";
    case base::Code::unauthenticated:
      return "authentication_error";
    case base::Code::forbidden:
      return "permission_error";
    case base::Code::budget:
      return "insufficient_quota";
    case base::Code::exhausted:
      return "rate_limit_error";
    case base::Code::unavailable:
    case base::Code::deadline:
    case base::Code::cancelled:
    case base::Code::upstream:
    case base::Code::internal:
      return "server_error";
  }
  return "server_error";
}

void write_param(JsonWriter& out, const std::string& param) {
  out.key("param");
  if (param.empty()) {
    out.null();
  } else {
    out.text(param);
  }
}

/// Programs written for OpenAI look for this one, to shorten what they send and try again.
std::string_view openai_code(const base::Error& error) {
  return error.name == "CONTEXT_TOO_LONG" ? "context_length_exceeded" : std::string_view(error.name);
}

}  // namespace

int http_status(base::Code code) {
  switch (code) {
    case base::Code::invalid:
      return 400;
    case base::Code::too_large:
      return 413;
    case base::Code::unreadable:
      return 422;
    case base::Code::not_found:
      return 404;
    case base::Code::conflict:
      return 409;
    case base::Code::unauthenticated:
      return 401;
    case base::Code::forbidden:
      return 403;
    case base::Code::budget:
      return 402;
    case base::Code::exhausted:
      return 429;
    case base::Code::unavailable:
      return 503;
    case base::Code::deadline:
      return 504;
    case base::Code::cancelled:
      return 499;
    case base::Code::upstream:
      return 502;
    case base::Code::internal:
      return 500;
  }
  return 500;
}

std::string error_json(const base::Error& error, std::string_view request_id) {
  JsonWriter out;
  out.begin_object()
      .field("code", error.name)
      .field("type", base::to_string(error.code))
      .field("message", error.message);
  write_param(out, error.param);
  out.field("request_id", request_id).end_object();
  return out.take();
}

Reply error_reply(const base::Error& error, std::string_view path, std::string_view request_id) {
  Reply reply;
  reply.status = http_status(error.code);
  JsonWriter out;
  out.begin_object().key("error");
  if (path.starts_with("/v1/")) {
    out.begin_object().field("message", error.message).field("type", openai_type(error.code));
    write_param(out, error.param);
    out.field("code", openai_code(error)).end_object();
  } else {
    out.raw(error_json(error, request_id));
  }
  out.end_object();
  reply.body = out.take();
  const bool retryable = error.code == base::Code::exhausted || error.code == base::Code::unavailable;
  if (error.retry_after || retryable) {
    const auto ms = error.retry_after.value_or(std::chrono::milliseconds(1000)).count();
    reply.headers.push_back({"Retry-After", std::to_string((ms + 999) / 1000)});
  }
  return reply;
}

}  // namespace tessera::api
