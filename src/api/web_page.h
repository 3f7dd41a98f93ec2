#pragma once

#include <string>
#include <string_view>

namespace tessera::api {

/// web/index.html as it was when the program was built.
std::string_view embedded_page();

/// `html` with every `%NONCE%` replaced, so that the policy can allow exactly its own script and style.
std::string with_nonce(std::string_view html, std::string_view nonce);

/// The Content-Security-Policy of our pages: their own inline script and style by nonce, calls to this server, nothing
/// else.
std::string page_policy(std::string_view nonce);

/// The contract as a page: routes and schemas, readable without a script.
std::string docs_page();

}  // namespace tessera::api
