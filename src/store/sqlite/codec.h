#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/metadata.h"
#include "core/tasks.h"

namespace tessera::store {

/// Exact and quick to read: for each field its name and value, as docs/formats/database.md says. (JSON readers do not
/// give back every double as it was.)
std::string encode_metadata(const core::Metadata& metadata);
/// Errors: unavailable DATABASE_DAMAGED.
base::Result<core::Metadata> decode_metadata(std::string_view bytes);

/// A JSON list of {item, code, name, message, detail, param}.
std::string failures_to_json(const std::vector<core::TaskFailure>& failures);
/// Errors: unavailable DATABASE_DAMAGED.
base::Result<std::vector<core::TaskFailure>> failures_from_json(std::string_view json);

/// A JSON list of texts.
std::string texts_to_json(const std::vector<std::string>& texts);
/// `column` is for the message. Errors: unavailable DATABASE_DAMAGED.
base::Result<std::vector<std::string>> texts_from_json(std::string_view json, const char* column);

}  // namespace tessera::store
