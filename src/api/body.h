#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "base/result.h"
#include "core/metadata.h"

namespace tessera::api {

/// A JSON object that was checked against a schema: types, ranges, required and unknown fields. Null counts as absent.
/// Views point into the body. Cheap to copy (shares the parsed tree). Errors name the field in `param`.
class Body {
 public:
  /// Parses and checks. Depth is bounded (32), duplicates take the last. Errors: invalid INVALID_JSON, INVALID_FIELD,
  /// UNKNOWN_FIELD, MISSING_FIELD.
  static base::Result<Body> parse(std::string_view json, const Schema& schema);

  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> text(std::string_view name) const;
  [[nodiscard]] std::string text_or(std::string_view name, std::string_view fallback) const;
  [[nodiscard]] std::optional<int64_t> integer(std::string_view name) const;
  [[nodiscard]] std::optional<double> number(std::string_view name) const;
  [[nodiscard]] std::optional<bool> boolean(std::string_view name) const;
  [[nodiscard]] std::optional<Body> object(std::string_view name) const;
  [[nodiscard]] std::vector<Body> objects(std::string_view name) const;
  [[nodiscard]] std::optional<std::vector<std::string>> texts(std::string_view name) const;
  /// Whether the field is a JSON string (for fields of type any).
  [[nodiscard]] bool is_text(std::string_view name) const;
  [[nodiscard]] bool is_array(std::string_view name) const;
  /// The field's value as JSON text, or empty when absent.
  [[nodiscard]] std::string json(std::string_view name) const;
  /// All fields but those named, as an object's text; empty when none is left.
  [[nodiscard]] std::string rest_json(std::span<const std::string_view> taken) const;
  /// A free-form object as metadata: nested objects flattened with dots. Errors: invalid INVALID_METADATA.
  [[nodiscard]] base::Result<core::Metadata> metadata(std::string_view name) const;
  /// A filter expression ($and, $or, $not, $in, $gt, ...), bounded in depth. Errors: invalid INVALID_FILTER.
  [[nodiscard]] base::Result<std::optional<core::Filter>> filter(std::string_view name) const;

 private:
  struct Tree;
  std::shared_ptr<const Tree> tree_;
  const void* object_ = nullptr;  ///< the boost::json::object this body stands for, owned by tree_
};

}  // namespace tessera::api
