#include <fmt/format.h>

#include <vector>

#include "llm/providers/provider_client.h"
#include "llm/providers/relay_answer.h"
#include "text/json_skim.h"
#include "text/utf8.h"

namespace tessera::llm {
namespace {

using text::JsonMember;

constexpr size_t kMessageMax = 600;

std::string_view error_word(const std::vector<JsonMember>& members, std::string_view key) {
  const JsonMember* member = text::find_member(members, key);
  return member != nullptr ? member->value : std::string_view();
}

// The HTTP status that an error object stands for; 0 when it says nothing of the kind.
int status_of(const std::vector<JsonMember>& members) {
  for (const char* key : {"status_code", "code", "status"}) {
    const auto number = text::json_integer(error_word(members, key));
    if (number && *number >= 400 && *number < 600) return static_cast<int>(*number);
  }
  for (const char* key : {"type", "code", "status"}) {
    const std::string word = text::json_text(error_word(members, key)).value_or("");
    if (word == "rate_limit_error" || word == "rate_limit_exceeded" || word == "RESOURCE_EXHAUSTED") return 429;
    if (word == "insufficient_quota") return 429;
    if (word == "overloaded_error" || word == "UNAVAILABLE") return 503;
    if (word == "timeout_error" || word == "DEADLINE_EXCEEDED") return 504;
    if (word == "authentication_error" || word == "permission_error" || word == "invalid_api_key") return 401;
  }
  return 0;
}

}  // namespace

base::Error relayed_error(std::string_view provider, std::string_view error_json, std::string_view secret) {
  std::vector<JsonMember> members;
  std::string said;
  if (text::skim_json_object(error_json, members)) {
    const int status = status_of(members);
    if (status >= 500 || status == 429 || status == 401 || status == 403 || status == 408) {
      return provider_error(provider, status, fmt::format(R"({{"error":{}}})", error_json), std::nullopt);
    }
    said = text::json_text(error_word(members, "message")).value_or("");
  } else {
    said = text::json_text(error_json).value_or("");
  }
  remove_secret(said, secret);
  if (said.size() > kMessageMax) said.resize(text::boundary_before(said, kMessageMax));
  return base::make_error(base::Code::upstream, "PROVIDER_FAILED",
                          fmt::format("the provider {} reported: {}", provider, said.empty() ? "an error" : said));
}

}  // namespace tessera::llm
