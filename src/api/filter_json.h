#pragma once

#include <boost/json/fwd.hpp>
#include <string_view>

#include "base/result.h"
#include "core/metadata.h"

namespace tessera::api {

class JsonWriter;

/// An object as metadata: nested objects flatten to "a.b", lists hold texts (numbers and booleans in lists become their
/// text). Bounds: kMetadataFieldsMax fields, names of 256 bytes, texts of 64 KiB. `param` names the field in errors
/// (invalid INVALID_METADATA).
base::Result<core::Metadata> metadata_from_json(const boost::json::value& value, std::string_view param);

/// `{"field": value}`, `{"field": {"$in": [...], "$gt": ...}}`, `$and`, `$or`, `$not`. `{}` is no filter; within
/// another, or as a field's condition, it is refused, as are names that no metadata can have. Errors: invalid
/// INVALID_FILTER saying what is allowed.
base::Result<core::Filter> filter_from_json(const boost::json::value& value, std::string_view param);

/// Metadata as a flat JSON object.
void write_metadata(JsonWriter& out, const core::Metadata& metadata);

}  // namespace tessera::api
