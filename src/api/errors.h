#pragma once

#include <string>
#include <string_view>

#include "api/call.h"
#include "base/error.h"

namespace tessera::api {

/// The one place where codes become HTTP statuses.
int http_status(base::Code code);

/// Renders an error: the native envelope, or OpenAI's on paths under /v1/.
Reply error_reply(const base::Error& error, std::string_view path, std::string_view request_id);

/// The native error object ({"code":..,"type":..,"message":..,"param":..,"request_id":..}) for events and NDJSON lines.
std::string error_json(const base::Error& error, std::string_view request_id);

}  // namespace tessera::api
