#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "wire/http_client.h"

namespace tessera::wire {

// What holds for a client's requests and answers, whichever way they go.

constexpr size_t kResponseHeadBytesMax = size_t{128} * 1024;

/// Errors: invalid BAD_URL (characters of URL or method), BAD_HEADER.
base::Result<void> check_request(const ClientRequest& request);
/// Errors: forbidden REDIRECT_REFUSED, upstream UPSTREAM_REDIRECT.
base::Result<void> check_redirect(int status, const std::vector<Header>& headers, AddressPolicy addresses);

const Header* find_header(const std::vector<Header>& headers, std::string_view name);

base::Error timeout_error(std::string detail = {});
base::Error connect_error(std::string detail);
base::Error private_address_error();
base::Error lost_error(std::string detail);
base::Error cut_error(std::string detail);
base::Error bad_response_error(std::string detail);
base::Error too_large_error(std::string detail = {});

}  // namespace tessera::wire
