#include "config/render.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "config/table.h"

namespace tessera::config {
namespace {

// Field accessors want a mutable object; rendering works on a copy.
struct View {
  explicit View(const Settings& from) : settings(from) {}
  Settings settings;
};

std::string value_of(FieldRef field, Kind kind, const Limits& limits) {
  if (limits.secret) {
    const auto* const text = std::get<std::string*>(field);
    return text->empty() ? "\"\"" : fmt::format("\"{}\"", kRedacted);
  }
  return format_value(field, kind);
}

// For a table cell: what may be written.
std::string accepts(Kind kind, const Limits& limits) {
  const std::string range = format_limits(kind, limits);
  if (kind == Kind::choice) return range;
  return range.empty() ? std::string(to_string(kind)) : fmt::format("{}, {}", to_string(kind), range);
}

// How a value is written under another name, where it is not the same: " (seconds)".
std::string written_as(const Alias& alias) {
  if (alias.seconds) return " (seconds)";
  if (alias.plus_one) return " (one less)";
  if (alias.when_true.empty()) return {};
  return fmt::format(" (true: {}, false: {})", alias.when_true, alias.when_false);
}

std::string other_names(const SettingInfo& info, std::string_view quote) {
  std::string result;
  const auto add = [&](std::string_view name, std::string_view how) {
    result += fmt::format("{}{}{}{}{}", result.empty() ? "" : ", ", quote, name, quote, how);
  };
  if (!info.flag.empty()) add(fmt::format("--{}", info.flag), {});
  for (const Alias& alias : parse_aliases(info.aliases)) add(alias.name, written_as(alias));
  return result;
}

std::string escape_cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result;
}

void append_json(std::string& out, FieldRef field, Kind kind, const Limits& limits) {
  if (limits.secret) {
    out += std::get<std::string*>(field)->empty() ? "\"\"" : fmt::format("\"{}\"", kRedacted);
    return;
  }
  switch (kind) {
    case Kind::text:
    case Kind::choice:
      base::append_json_string(out, *std::get<std::string*>(field));
      return;
    case Kind::duration:
      out += fmt::format("{}", std::get<base::Millis*>(field)->count());
      return;
    case Kind::bytes:
    case Kind::integer:
      out += fmt::format("{}", *std::get<int64_t*>(field));
      return;
    case Kind::number:
    case Kind::boolean:
      out += format_value(field, kind);
      return;
    case Kind::list: {
      out += '[';
      bool first = true;
      for (const std::string& item : *std::get<std::vector<std::string>*>(field)) {
        if (!std::exchange(first, false)) out += ',';
        base::append_json_string(out, item);
      }
      out += ']';
    }
  }
}

template <class Entry>
void append_entries_yaml(std::string& out, std::string_view name, std::span<const EntryFieldInfo<Entry>> fields,
                         std::vector<Entry>& entries) {
  if (!entries.empty()) out += fmt::format("\n{}:\n", name);
  for (Entry& entry : entries) {
    std::string_view dash = "- ";
    for (const auto& info : fields) {
      out += fmt::format("  {}{}: {}\n", dash, info.member, value_of(info.field(entry), info.kind, info.limits));
      dash = "  ";
    }
  }
}

template <class Entry>
void append_entries_json(std::string& out, std::string_view name, std::span<const EntryFieldInfo<Entry>> fields,
                         std::vector<Entry>& entries) {
  out += fmt::format(",\"{}\":[", name);
  bool first = true;
  for (Entry& entry : entries) {
    out += std::exchange(first, false) ? "{" : ",{";
    std::string_view comma;
    for (const auto& info : fields) {
      out += fmt::format("{}\"{}\":", comma, info.member);
      append_json(out, info.field(entry), info.kind, info.limits);
      comma = ",";
    }
    out += '}';
  }
  out += ']';
}

template <class Entry>
void append_fields_text(std::string& out, std::string_view name, std::span<const EntryFieldInfo<Entry>> fields) {
  out += fmt::format("\n{}: a list; the fields of an entry:\n", name);
  for (const auto& info : fields) {
    out += fmt::format("  {}: {} ({})\n", info.member, info.help, accepts(info.kind, info.limits));
  }
}

template <class Entry>
void append_fields_markdown(std::string& out, std::span<const EntryFieldInfo<Entry>> fields) {
  out += "| Field | Accepts | Meaning |\n|---|---|---|\n";
  for (const auto& info : fields) {
    out += fmt::format("| `{}` | {} | {} |\n", info.member, escape_cell(accepts(info.kind, info.limits)), info.help);
  }
}

// Names that configurations of other systems use.
void append_names_markdown(std::string& out) {
  out +=
      "\n## Names of other systems\n\nA file written for another system may use these names; a name with small "
      "letters and dots is a path in the file,\nas `api: {priority_queue: true}`. One setting is given once, under one "
      "of its names.\n\n| Name | Is here |\n|---|---|\n";
  for (const SectionName& name : section_names_table()) {
    out += fmt::format("| `{}` | the section `{}` |\n", name.path, name.section);
  }
  for (const SettingInfo& info : settings_table()) {
    for (const Alias& alias : parse_aliases(info.aliases)) {
      if (alias.path) out += fmt::format("| `{}`{} | `{}` |\n", alias.name, written_as(alias), info.name());
    }
  }
  out +=
      "\nThese have no counterpart. They stop the start with the same advice, unless their value is what is the case "
      "anyway.\n\n| Name | Taken as | Instead |\n|---|---|---|\n";
  for (const Replaced& row : replaced_table()) {
    out += fmt::format("| `{}` | {} | {} |\n", row.path, row.accepted.empty() ? "" : fmt::format("`{}`", row.accepted),
                       row.instead);
  }
}

}  // namespace

std::string show_yaml(const Loaded& loaded) {
  View view(*loaded.settings);
  std::string out;
  std::string_view section;
  for (const SettingInfo& info : settings_table()) {
    if (info.section != section) {
      out += fmt::format("{}{}:\n", section.empty() ? "" : "\n", info.section);
      section = info.section;
    }
    const std::string line =
        fmt::format("  {}: {}", info.member, value_of(info.field(view.settings), info.kind, info.limits));
    const auto origin = loaded.origins.find(info.name());
    out += origin == loaded.origins.end() ? line + "\n" : fmt::format("{:<48} # {}\n", line, origin->second);
  }
  append_entries_yaml(out, "providers", provider_fields_table(), view.settings.providers);
  append_entries_yaml(out, "models", routed_model_fields_table(), view.settings.models);
  return out;
}

std::string show_json(const Settings& settings) {
  View view(settings);
  std::string out = "{";
  std::string_view section;
  for (const SettingInfo& info : settings_table()) {
    if (info.section != section) {
      out += fmt::format("{}\"{}\":{{", section.empty() ? "" : "},", info.section);
      section = info.section;
    } else {
      out += ',';
    }
    out += fmt::format("\"{}\":", info.member);
    append_json(out, info.field(view.settings), info.kind, info.limits);
  }
  out += "}";
  append_entries_json(out, "providers", provider_fields_table(), view.settings.providers);
  append_entries_json(out, "models", routed_model_fields_table(), view.settings.models);
  return out += "}";
}

std::string reference_text() {
  View view{Settings{}};
  std::string out;
  for (const SectionInfo& section : sections_table()) {
    out += fmt::format("{}{}: {}\n", out.empty() ? "" : "\n", section.name, section.help);
    for (const SettingInfo& info : settings_table()) {
      if (info.section != section.name) continue;
      out += fmt::format("  {} = {}\n      {}\n      {}; {}", info.name(),
                         format_value(info.field(view.settings), info.kind), info.help, accepts(info.kind, info.limits),
                         info.environment_name());
      const std::string names = other_names(info, "");
      out += fmt::format("{}{}\n", names.empty() ? "" : ", ", names);
    }
  }
  append_fields_text(out, "providers", provider_fields_table());
  append_fields_text(out, "models", routed_model_fields_table());
  return out;
}

std::string reference_markdown() {
  View view{Settings{}};
  std::string out =
      "# Configuration\n\n"
      "Generated from `src/config/settings.def` by `tessera config reference --markdown`; do not edit.\n\n"
      "A setting `section.name` can be given, strongest first, as the flag `--section.name VALUE`, as the environment\n"
      "variable `TESSERA_SECTION_NAME` (or one of the other names below), or in `tessera.yaml`:\n\n"
      "```yaml\nserver:\n  port: 8080\n```\n\n"
      "The file is the one named by `--config` or `TESSERA_CONFIG`, else `./tessera.yaml` if there is one. An empty\n"
      "variable counts as not set. Unknown names and values outside their range stop the start with a message that "
      "says\n"
      "where and what would be right; `tessera config check` says the same without starting. `tessera config show`\n"
      "prints what is in force and where it came from.\n\n"
      "A duration is a number of milliseconds, or has a unit: `500ms`, `10s`, `5m`, `1h`. A size is a number of bytes, "
      "or\n"
      "has a unit: `64KiB`, `64MiB`, `1GiB` (powers of 1,024), `10MB` (powers of 1,000). A list in a flag or variable "
      "is\n"
      "separated by commas.\n";
  for (const SectionInfo& section : sections_table()) {
    out +=
        fmt::format("\n## {}\n\n{}\n\n| Setting | Default | Accepts | Other names | Meaning |\n|---|---|---|---|---|\n",
                    section.name, section.help);
    for (const SettingInfo& info : settings_table()) {
      if (info.section != section.name) continue;
      out +=
          fmt::format("| `{}` | `{}` | {} | {} | {}{} |\n", info.name(),
                      format_value(info.field(view.settings), info.kind), escape_cell(accepts(info.kind, info.limits)),
                      other_names(info, "`"), escape_cell(info.help), info.limits.secret ? " Secret." : "");
    }
  }
  out +=
      "\n## providers\n\nModel providers, as a list in the file:\n\n"
      "```yaml\nproviders:\n  - name: openai\n    base_url: https://api.openai.com/v1\n    api_key_env: "
      "OPENAI_API_KEY\n"
      "    models: [gpt-4o-mini]\n```\n\n";
  append_fields_markdown(out, provider_fields_table());
  out +=
      "\n## models\n\nModels with what the providers do not say of them, as a list in the file. A model needs no entry "
      "to be\nused; an entry changes what is shipped of it, gives it other names, or says who stands in for it:\n\n"
      "```yaml\nmodels:\n  - name: smart\n    upstream: gpt-4o\n    providers: [openai, azure]\n    fallbacks: "
      "[gpt-4o-mini]\n    price_prompt: 2.50\n    price_completion: 10\n```\n\n";
  append_fields_markdown(out, routed_model_fields_table());
  append_names_markdown(out);
  out += "\nAll settings take effect at the next start.\n";
  return out;
}

std::string reference_yaml() {
  View view{Settings{}};
  std::string out =
      "# tessera.yaml: every setting at its default. Take the # away from what you change.\n"
      "# Written by `tessera config reference --yaml`; `tessera config check` checks the file.\n";
  for (const SectionInfo& section : sections_table()) {
    out += fmt::format("\n# {}\n#{}:\n", section.help, section.name);
    for (const SettingInfo& info : settings_table()) {
      if (info.section != section.name) continue;
      const std::string line =
          fmt::format("#  {}: {}", info.member, format_value(info.field(view.settings), info.kind));
      out += fmt::format("{:<44} # {}\n", line, info.help);
    }
  }
  out +=
      "\n# Model providers.\n#providers:\n#  - name: openai\n#    base_url: https://api.openai.com/v1\n"
      "#    api_key_env: OPENAI_API_KEY\n#    models: [gpt-4o-mini]\n"
      "\n# Models with prices, aliases and stand-ins of your own.\n#models:\n#  - name: smart\n#    upstream: gpt-4o\n"
      "#    fallbacks: [gpt-4o-mini]\n";
  return out;
}

}  // namespace tessera::config
