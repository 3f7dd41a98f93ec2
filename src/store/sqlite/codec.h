#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/metadata.h"
#include "core/tasks.h"

namespace tessera::store {

/// A flat JSON object; integers and floating-point numbers stay apart (1 and 1E0). NaN becomes null.
std::string metadata_to_json(const core::Metadata& metadata);
/// Errors: unavailable DATABASE_DAMAGED.
base::Result<core::Metadata> metadata_from_json(std::string_view json);

/// A list of {item, code, name, message, detail, param}.
std::string failures_to_json(const std::vector<core::TaskFailure>& failures);
/// Errors: unavailable DATABASE_DAMAGED.
base::Result<std::vector<core::TaskFailure>> failures_from_json(std::string_view json);

}  // namespace tessera::store
