#include "api/web_page.h"

#include <fmt/format.h>

#include <iterator>

#include "api/route.h"

// The page is part of the program's read-only data: nothing is read or copied at run time.
__asm__(
    ".section .rodata\n"
    ".global tessera_web_page\n"
    ".global tessera_web_page_end\n"
    "tessera_web_page:\n"
    ".incbin \"" TESSERA_WEB_PAGE
    "\"\n"
    "tessera_web_page_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const char tessera_web_page[];      // NOLINT(modernize-avoid-c-arrays)
extern const char tessera_web_page_end[];  // NOLINT(modernize-avoid-c-arrays)
}

namespace tessera::api {
namespace {

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string_view type_name(const Field& field) {
  return field.type == FieldType::any ? "any" : json_type(field.type);
}

void append_schema(std::string& out, std::string_view name) {
  const Schema* schema = find_schema(name);
  if (schema == nullptr) return;
  out += fmt::format("<table><caption>{}</caption>", escape_html(name));
  for (const Field& field : schema->fields) {
    fmt::format_to(std::back_inserter(out), "<tr><td><code>{}</code>{}</td><td>{}{}</td><td>{}</td></tr>",
                   escape_html(field.name), field.required ? " *" : "", type_name(field),
                   field.items != nullptr && !field.items->name.empty() ? fmt::format(" of {}", field.items->name) : "",
                   escape_html(field.help));
  }
  out += "</table>";
}

}  // namespace

std::string_view embedded_page() {
  return {tessera_web_page, static_cast<size_t>(tessera_web_page_end - tessera_web_page)};
}

std::string with_nonce(std::string_view html, std::string_view nonce) {
  constexpr std::string_view kMark = "%NONCE%";
  std::string out;
  out.reserve(html.size() + 128);
  while (true) {
    const size_t at = html.find(kMark);
    out += html.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += nonce;
    html.remove_prefix(at + kMark.size());
  }
}

std::string page_policy(std::string_view nonce) {
  return fmt::format(
      "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; img-src 'self' data:; "
      "base-uri 'none'; "
      "form-action 'none'; frame-ancestors 'none'",
      nonce);
}

std::string docs_page() {
  std::string out =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, "
      "initial-scale=1\"><title>Tessera API</title><style nonce=\"%NONCE%\">"
      "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 "
      "1rem;color:#1c2430;background:#fbfbfa}"
      "h2{font-size:1rem;margin:2rem 0 .3rem}code{font-family:ui-monospace,monospace;font-size:.92em}"
      "h2 code{background:#eef1f4;padding:.15rem .4rem;border-radius:.3rem}small{color:#66707c}"
      "code,td{overflow-wrap:anywhere}"
      "table{border-collapse:collapse;width:100%;table-layout:fixed;margin:.5rem 0}td:nth-child(1){width:28%}"
      "td:nth-child(2){width:20%}caption{text-align:left;color:#66707c;font-size:.85rem}"
      "td{border-top:1px solid #e4e7ea;padding:.25rem .6rem .25rem 0;vertical-align:top;font-size:.9rem}"
      "a{color:#0f766e}@media(prefers-color-scheme:dark){a{color:#2dd4bf}small,caption{color:#98a2ad}"
      "body{background:#14171c;color:#dde3ea}h2 "
      "code{background:#232932}td{border-color:#2b323c}}"
      "</style></head><body><h1>Tessera API</h1><p>The same contract for programs: <a "
      "href=\"/openapi.json\">/openapi.json</a>. "
      "Errors: <code>{\"error\":{code,type,message,param,request_id}}</code>; * marks required fields.</p>";
  const std::string model_headers = fmt::format(", headers {}, {}", kPriorityHeader, kWorkflowHeader);
  for (const RouteSpec& route : all_routes()) {
    fmt::format_to(std::back_inserter(out), "<h2><code>{} {}</code></h2><p>{} <small>scope {}{}</small></p>",
                   wire::to_string(route.method), escape_html(route.path), escape_html(route.summary),
                   to_string(route.scope), puts_models_to_work(route) ? std::string_view(model_headers) : "");
    append_schema(out, route.request_schema);
    append_schema(out, route.response_schema);
  }
  out += "</body></html>";
  return out;
}

}  // namespace tessera::api
