#include "wire/client_rules.h"

#include <algorithm>

namespace tessera::wire {

using base::Code;
using base::Error;
using base::Result;

namespace {

// All bytes are looked at, since a loop that ends early is not vectorized.
bool one_line(std::string_view text) {
  bool broken = false;
  for (const char c : text) broken |= c == '\r' || c == '\n' || c == '\0';
  return !broken;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

const Header* find_header(const std::vector<Header>& headers, std::string_view name) {
  const auto found = std::ranges::find_if(headers, [&](const Header& each) { return equal_nocase(each.name, name); });
  return found == headers.end() ? nullptr : &*found;
}

Result<void> check_request(const ClientRequest& request) {
  bool sane = true;
  for (const char c : request.url) sane &= static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  const bool token =
      !request.method.empty() && std::ranges::all_of(request.method, [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!sane || !token) return base::fail(Code::invalid, "BAD_URL", "the URL is malformed");
  for (const auto& header : request.headers) {
    if (header.name.empty() || !one_line(header.name) || !one_line(header.value)) {
      return base::fail(Code::invalid, "BAD_HEADER", "a header of the outgoing request holds a line end");
    }
  }
  return {};
}

Result<void> check_redirect(int status, const std::vector<Header>& headers, AddressPolicy addresses) {
  if (!is_redirect(status) || find_header(headers, "location") == nullptr) return {};
  if (addresses == AddressPolicy::public_only) {
    return base::fail(Code::forbidden, "REDIRECT_REFUSED",
                      "the URL redirects elsewhere, which is not followed; give the final URL");
  }
  return base::fail(Code::upstream, "UPSTREAM_REDIRECT", "the other server redirects elsewhere, which is not followed");
}

Error timeout_error(std::string detail) {
  return base::make_error(Code::deadline, "UPSTREAM_TIMEOUT", "the other server did not answer in time",
                          std::move(detail));
}

Error connect_error(std::string detail) {
  return base::make_error(Code::unavailable, "CONNECT_FAILED", "the other server could not be reached",
                          std::move(detail));
}

Error private_address_error() {
  return base::make_error(Code::forbidden, "PRIVATE_ADDRESS",
                          "the URL leads to an address that is not public; use a public one");
}

Error lost_error(std::string detail) {
  return base::make_error(Code::unavailable, "CONNECTION_LOST",
                          "the other server closed the connection without an answer", std::move(detail));
}

Error cut_error(std::string detail) {
  return base::make_error(Code::upstream, "RESPONSE_CUT", "the other server broke off its answer", std::move(detail));
}

Error bad_response_error(std::string detail) {
  return base::make_error(Code::upstream, "BAD_RESPONSE", "the other server's answer could not be understood",
                          std::move(detail));
}

Error too_large_error(std::string detail) {
  return base::make_error(Code::too_large, "RESPONSE_TOO_LARGE", "the other server's answer is larger than allowed",
                          std::move(detail));
}

}  // namespace tessera::wire
