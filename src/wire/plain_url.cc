#include "wire/plain_url.h"

#include <algorithm>
#include <charconv>

namespace tessera::wire {

namespace {

bool is_host_byte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '-' || c == '_';
}

bool is_address6_byte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
}

bool split_authority(PlainUrl& url) {
  std::string_view rest = url.authority;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return false;
    url.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!std::ranges::all_of(url.host, is_address6_byte)) return false;
  } else {
    const size_t colon = std::min(rest.find(':'), rest.size());
    url.host = rest.substr(0, colon);
    rest.remove_prefix(colon);
    if (!std::ranges::all_of(url.host, is_host_byte)) return false;
  }
  if (url.host.empty() || url.host.size() > 253) return false;
  if (rest.empty()) return true;
  if (rest.front() != ':') return false;
  rest.remove_prefix(1);
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), url.port);
  return error == std::errc() && end == rest.data() + rest.size() && url.port != 0;
}

}  // namespace

std::optional<PlainUrl> split_plain_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  PlainUrl parts;
  const size_t slash = std::min(url.find('/'), url.size());
  parts.authority = url.substr(0, slash);
  parts.target = url.substr(slash);
  if (!split_authority(parts)) return std::nullopt;
  const bool simple = std::ranges::all_of(parts.target, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
  if (!simple || parts.target.find("/.") != std::string_view::npos) return std::nullopt;
  return parts;
}

}  // namespace tessera::wire
