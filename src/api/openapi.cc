#include <fmt/format.h>

#include <cmath>
#include <map>

#include "api/api.h"
#include "api/json_writer.h"
#include "api/route.h"

namespace tessera::api {

std::string_view json_type(FieldType type) {
  switch (type) {
    case FieldType::text:
      return "string";
    case FieldType::integer:
      return "integer";
    case FieldType::number:
      return "number";
    case FieldType::boolean:
      return "boolean";
    case FieldType::object:
    case FieldType::map:
      return "object";
    case FieldType::array:
      return "array";
    case FieldType::any:
      return "";
  }
  return "";
}

namespace {

std::string reference(std::string_view schema) {
  return fmt::format("#/components/schemas/{}", schema);
}

void write_words(JsonWriter& out, std::string_view words) {
  out.key("enum").begin_array();
  while (!words.empty()) {
    const size_t bar = words.find('|');
    out.text(words.substr(0, bar));
    words = bar == std::string_view::npos ? std::string_view{} : words.substr(bar + 1);
  }
  out.end_array();
}

void write_bounds(JsonWriter& out, const Field& field) {
  const bool low = field.min > std::numeric_limits<double>::lowest();
  const bool high = field.max < std::numeric_limits<double>::max();
  const auto bound = [&](std::string_view name, double value) {
    // Texts are bounded in bytes here and in characters in JSON Schema, so only the lower bound says the same.
    if (std::trunc(value) == value) {
      out.field(name, static_cast<int64_t>(value));
    } else {
      out.field(name, value);
    }
  };
  switch (field.type) {
    case FieldType::integer:
    case FieldType::number:
      if (low) bound("minimum", field.min);
      if (high) bound("maximum", field.max);
      break;
    case FieldType::text:
      if (low) bound("minLength", field.min);
      if (high) bound("maxLength", field.max);
      break;
    case FieldType::array:
      if (low) bound("minItems", field.min);
      if (high) bound("maxItems", field.max);
      break;
    case FieldType::boolean:
    case FieldType::object:
    case FieldType::map:
    case FieldType::any:
      break;
  }
}

void write_field(JsonWriter& out, const Field& field) {
  out.begin_object();
  const bool refers = field.type == FieldType::object && field.items != nullptr;
  if (refers) {
    out.field("$ref", reference(field.items->name));
  } else if (const auto type = json_type(field.type); !type.empty()) {
    out.key("type");
    if (field.nullable) {
      out.begin_array().text(type).text("null").end_array();
    } else {
      out.text(type);
    }
  }
  if (field.type == FieldType::array) {
    out.key("items").begin_object();
    if (field.items == nullptr) {
      out.field("type", "string");
    } else if (!field.items->name.empty()) {
      out.field("$ref", reference(field.items->name));
    }
    out.end_object();
  }
  if (field.type == FieldType::map) out.field("additionalProperties", true);
  if (!field.allowed.empty()) write_words(out, field.allowed);
  write_bounds(out, field);
  if (!field.help.empty()) out.field("description", field.help);
  out.end_object();
}

void write_schema(JsonWriter& out, const Schema& schema) {
  out.key(schema.name).begin_object().field("type", "object").key("properties").begin_object();
  for (const Field& field : schema.fields) {
    out.key(field.name);
    write_field(out, field);
  }
  out.end_object().key("required").begin_array();
  for (const Field& field : schema.fields) {
    if (field.required) out.text(field.name);
  }
  out.end_array().field("additionalProperties", schema.open).end_object();
}

void write_json_content(JsonWriter& out, std::string_view schema) {
  out.key("content").begin_object().key("application/json").begin_object().key("schema").begin_object();
  out.field("$ref", reference(schema)).end_object().end_object().end_object();
}

void write_parameters(JsonWriter& out, const RouteSpec& route) {
  const std::string_view path = route.path;
  out.key("parameters").begin_array();
  for (size_t open = path.find('{'); open != std::string_view::npos; open = path.find('{', open + 1)) {
    std::string_view name = path.substr(open + 1, path.find('}', open) - open - 1);
    if (name.ends_with("...")) name.remove_suffix(3);
    out.begin_object().field("name", name).field("in", "path").field("required", true);
    out.key("schema").begin_object().field("type", "string").end_object().end_object();
  }
  if (puts_models_to_work(route)) {
    out.begin_object().field("name", kPriorityHeader).field("in", "header");
    out.field("description", "Who waits: people, who go first where models are busy, or a batch");
    out.key("schema").begin_object().field("type", "string");
    write_words(out, "interactive|background");
    out.end_object().end_object();
    out.begin_object().field("name", kWorkflowHeader).field("in", "header");
    out.field("description",
              "On whose behalf, when an agent works: budgets and the ledger know workflows by this name");
    out.key("schema").begin_object().field("type", "string").field("maxLength", kWorkflowMax);
    out.end_object().end_object();
  }
  out.end_array();
}

void write_operation(JsonWriter& out, const RouteSpec& route) {
  std::string method(wire::to_string(route.method));
  for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
  out.key(method).begin_object().field("operationId", route.name).field("summary", route.summary);
  out.field("x-scope", to_string(route.scope)).field("x-sla-ms", tier_promise(route.tier).count());
  write_parameters(out, route);
  if (route.request_schema != "none") {
    out.key("requestBody").begin_object();
    write_json_content(out, route.request_schema);
    out.end_object();
  }
  out.key("responses").begin_object().key("2XX").begin_object().field("description", "It went well");
  if (route.response_schema != "none") write_json_content(out, route.response_schema);
  out.end_object().key("default").begin_object().field("description", "An error");
  write_json_content(out, "Error");
  out.end_object().end_object().end_object();
}

}  // namespace

std::string openapi_json(std::string_view version) {
  JsonWriter out;
  out.begin_object().field("openapi", "3.1.0").key("info").begin_object();
  out.field("title", "Tessera")
      .field("version", version)
      .field("summary", "The backend of an LLM application")
      .end_object();
  std::map<std::string, std::vector<const RouteSpec*>> paths;
  for (const RouteSpec& route : all_routes()) {
    std::string path(route.path);
    if (const size_t dots = path.find("...}"); dots != std::string::npos) path.erase(dots, 3);
    paths[path].push_back(&route);
  }
  out.key("paths").begin_object();
  for (const auto& [path, routes] : paths) {
    out.key(path).begin_object();
    for (const RouteSpec* route : routes) write_operation(out, *route);
    out.end_object();
  }
  out.end_object().key("components").begin_object().key("schemas").begin_object();
  for (const Schema* schema : all_schemas()) write_schema(out, *schema);
  out.key("Error").raw(
      R"({"type":"object","required":["error"],"properties":{"error":{"type":"object","required":["code","message"],"properties":{)"
      R"("code":{"type":["string","null"]},"type":{"type":"string"},"message":{"type":"string"},"param":{"type":["string","null"]},"request_id":{"type":"string"}}}}})");
  out.end_object().end_object().end_object();
  return out.take();
}

}  // namespace tessera::api
