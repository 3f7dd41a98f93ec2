#pragma once

#include "api/schema.h"

/// Words to declare fields with, for the tables of schemas.
namespace tessera::api::fields {

using enum FieldType;

constexpr double kNoMin = std::numeric_limits<double>::lowest();
constexpr double kNoMax = std::numeric_limits<double>::max();

constexpr Field text_field(std::string_view name, std::string_view help, double max_bytes = kNoMax) {
  return {.name = name, .type = text, .help = help, .max = max_bytes};
}
constexpr Field integer_field(std::string_view name, std::string_view help, double min = kNoMin, double max = kNoMax) {
  return {.name = name, .type = integer, .help = help, .min = min, .max = max};
}
constexpr Field number_field(std::string_view name, std::string_view help, double min = kNoMin, double max = kNoMax) {
  return {.name = name, .type = number, .help = help, .min = min, .max = max};
}
constexpr Field boolean_field(std::string_view name, std::string_view help) {
  return {.name = name, .type = boolean, .help = help};
}
constexpr Field map_field(std::string_view name, std::string_view help) {
  return {.name = name, .type = map, .help = help};
}
constexpr Field list_field(std::string_view name, const Schema* items, std::string_view help) {
  return {.name = name, .type = array, .help = help, .items = items};
}
constexpr Field object_field(std::string_view name, const Schema* items, std::string_view help) {
  return {.name = name, .type = object, .help = help, .items = items};
}
constexpr Field choice_field(std::string_view name, std::string_view allowed, std::string_view help) {
  return {.name = name, .type = text, .help = help, .allowed = allowed};
}
constexpr Field required(Field field) {
  field.required = true;
  return field;
}
constexpr Field nullable(Field field) {
  field.nullable = true;
  return field;
}

}  // namespace tessera::api::fields

namespace tessera::api {

/// The tables, for all_schemas().
std::span<const Schema* const> request_schemas();
std::span<const Schema* const> answer_schemas();
std::span<const Schema* const> operation_schemas();

}  // namespace tessera::api
