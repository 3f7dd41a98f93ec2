#include "config/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "config/complete.h"
#include "config/nearest.h"
#include "config/problems.h"
#include "config/table.h"
#include "config/yaml_tree.h"

namespace tessera::config {
namespace {

using base::Code;
using base::Result;

// A value for a message: short, printable, and never a secret.
std::string shown(std::string_view value, const Limits& limits) {
  const bool printable = std::ranges::all_of(value, [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
  if (limits.secret || value.size() > 60 || !printable || value.empty()) return {};
  return fmt::format(", not {}", value);
}

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const SettingInfo& info : settings_table()) names.push_back(info.name());
  return names;
}

std::string meant(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string_view best = nearest(word, candidates);
  if (best.empty()) return "; `tessera config reference` lists them all";
  return fmt::format("; did you mean \"{}\"?", best);
}

std::string cut(std::string_view word) {
  std::string result;
  for (const char c : word.substr(0, 80)) result += static_cast<unsigned char>(c) >= 0x20 && c != 0x7f ? c : '?';
  return result;
}

// A list of entries with fields, such as providers.
template <class Entry>
struct EntryList {
  std::string_view name;
  std::string_view one;  // "a provider"
  std::span<const EntryFieldInfo<Entry>> fields;
  std::vector<Entry>& entries;
};

// Applies the sources in order to one Settings, collecting what is wrong.
class Loader {
 public:
  void apply_file(const File& file);
  void apply_environment(const Environment& environment);
  void apply_flags(const std::vector<std::pair<std::string, std::string>>& flags);
  Result<Loaded> finish(const Environment& environment) {
    complete(loaded_, environment, problems_);
    TESSERA_CHECK(problems_.result());
    return Loaded{.settings = std::make_shared<const Settings>(std::move(loaded_)), .origins = std::move(origins_)};
  }

 private:
  void set(const SettingInfo& info, const std::string& where, std::string_view value) {
    if (const auto done = assign(info.field(loaded_), info.kind, info.limits, value); !done) {
      problems_.add(where, fmt::format("{} {}{}", info.name(), done.error().message, shown(value, info.limits)));
      return;
    }
    origins_[info.name()] = where;
  }
  void set_node(const Named& named, const File& file, const YamlNode& node);
  void apply_entry(const File& file, const std::string& path, const YamlNode::Entry& entry);
  void refuse_replaced(const std::string& where, const Replaced& row, const std::string& path, const YamlNode& node);
  template <class Entry>
  void apply_entries(const File& file, const YamlNode& node, EntryList<Entry> list);
  template <class Entry>
  void apply_fields(const File& file, const YamlNode& node, Entry& entry, const EntryList<Entry>& list);
  void set_alias(const Named& named, const std::string& where, std::string_view value);
  void check_unknown(const Environment& environment);
  static std::string at(const File& file, int line) { return fmt::format("{}:{}", file.name, line); }
  // The strings of a list node; a problem when it holds anything else.
  std::optional<std::vector<std::string>> strings(const File& file, std::string_view name, const YamlNode& node);

  Settings loaded_;
  Origins origins_;
  Problems problems_;
};

std::optional<std::vector<std::string>> Loader::strings(const File& file, std::string_view name, const YamlNode& node) {
  std::vector<std::string> values;
  for (const YamlNode& item : node.items) {
    if (item.type != YamlNode::Type::scalar) {
      problems_.add(at(file, item.line), fmt::format("{} must be a list of plain values", name));
      return std::nullopt;
    }
    values.push_back(item.text);
  }
  return values;
}

void Loader::set_node(const Named& named, const File& file, const YamlNode& node) {
  const SettingInfo& info = *named.info;
  const std::string where = at(file, node.line);
  if (node.type == YamlNode::Type::null) return;  // "port:" with nothing behind it keeps the default
  if (const auto before = origins_.find(info.name()); before != origins_.end()) {
    problems_.add(where,
                  fmt::format("{} is here twice, under one name or two; first at {}", info.name(), before->second));
    return;
  }
  if (node.type == YamlNode::Type::scalar) {
    set_alias(named, where, node.text);
    return;
  }
  if (node.type == YamlNode::Type::map) {
    problems_.add(where, fmt::format("{} takes a value, not a section", info.name()));
    return;
  }
  if (info.kind != Kind::list) {
    problems_.add(where, fmt::format("{} takes one value, not a list", info.name()));
    return;
  }
  if (auto values = strings(file, info.name(), node)) {
    if (const auto done = assign_list(info.field(loaded_), *std::move(values)); !done) {
      problems_.add(where, fmt::format("{} {}", info.name(), done.error().message));
    } else {
      origins_[info.name()] = where;
    }
  }
}

void Loader::refuse_replaced(const std::string& where, const Replaced& row, const std::string& path,
                             const YamlNode& node) {
  if (node.type == YamlNode::Type::null) return;
  if (!row.accepted.empty() && node.type == YamlNode::Type::scalar && node.text == row.accepted) return;
  problems_.add(where, fmt::format("{}: {}", cut(path), row.instead));
}

// A setting, or a section with what is below it.
void Loader::apply_entry(const File& file, const std::string& path, const YamlNode::Entry& entry) {
  if (const Named named = find_setting(path); named.info != nullptr) {
    set_node(named, file, entry.value);
    return;
  }
  if (const Replaced* const row = find_replaced(path)) {
    refuse_replaced(at(file, entry.line), *row, path, entry.value);
    return;
  }
  if (!is_section(path)) {
    std::vector<std::string> names = all_names();
    if (path == entry.key) {
      names.emplace_back("providers");
      names.emplace_back("models");
      for (const SectionInfo& section : sections_table()) names.emplace_back(section.name);
    }
    problems_.add(at(file, entry.line), fmt::format("unknown setting \"{}\"{}", cut(path), meant(path, names)));
    return;
  }
  if (entry.value.type == YamlNode::Type::null) return;
  if (entry.value.type != YamlNode::Type::map) {
    problems_.add(at(file, entry.value.line),
                  fmt::format("{} is a section; put its settings below it, indented", path));
    return;
  }
  for (const YamlNode::Entry& member : entry.value.entries) apply_entry(file, path + "." + member.key, member);
}

template <class Entry>
void Loader::apply_fields(const File& file, const YamlNode& node, Entry& target, const EntryList<Entry>& list) {
  std::vector<std::string> names;
  for (const auto& info : list.fields) names.emplace_back(info.member);
  for (const YamlNode::Entry& entry : node.entries) {
    const auto info = std::ranges::find(list.fields, std::string_view(entry.key), &EntryFieldInfo<Entry>::member);
    const std::string where = at(file, entry.line);
    if (info == list.fields.end()) {
      problems_.add(where,
                    fmt::format("unknown field \"{}\" of {}{}", cut(entry.key), list.one, meant(entry.key, names)));
      continue;
    }
    Result<> done;
    if (entry.value.type == YamlNode::Type::list && info->kind == Kind::list) {
      if (auto values = strings(file, fmt::format("{}.{}", list.name, entry.key), entry.value)) {
        done = assign_list(info->field(target), *std::move(values));
      }
    } else if (entry.value.type == YamlNode::Type::scalar) {
      done = assign(info->field(target), info->kind, info->limits, entry.value.text);
    } else if (entry.value.type != YamlNode::Type::null) {
      done = base::fail(Code::invalid, "CONFIG_INVALID", "takes one value");
    }
    if (!done) {
      problems_.add(where, fmt::format("{}.{} {}{}", list.name, entry.key, done.error().message,
                                       shown(entry.value.text, info->limits)));
    }
  }
}

template <class Entry>
void Loader::apply_entries(const File& file, const YamlNode& node, EntryList<Entry> list) {
  if (node.type == YamlNode::Type::null) return;
  if (node.type != YamlNode::Type::list || node.items.size() > 100) {
    problems_.add(at(file, node.line),
                  fmt::format("{} must be a list of at most 100 entries: `- name: ...`", list.name));
    return;
  }
  for (const YamlNode& item : node.items) {
    if (item.type != YamlNode::Type::map) {
      problems_.add(at(file, item.line), fmt::format("each entry of {} must have fields: `- name: ...`", list.name));
      continue;
    }
    apply_fields(file, item, list.entries.emplace_back(), list);
    origins_[fmt::format("{}.{}", list.name, list.entries.back().name)] = at(file, item.line);
  }
}

void Loader::apply_file(const File& file) {
  if (file.text.size() > kFileBytesMax) {
    problems_.add(file.name, fmt::format("is larger than {} KiB", kFileBytesMax / 1024));
    return;
  }
  const auto root = parse_yaml(file.name, file.text);
  if (!root) {
    problems_.add(root.error().message);
    return;
  }
  if (root->type == YamlNode::Type::null) return;
  if (root->type != YamlNode::Type::map) {
    problems_.add(at(file, root->line), "the file must hold sections, such as `server:`");
    return;
  }
  for (const YamlNode::Entry& entry : root->entries) {
    if (entry.key == "providers") {
      apply_entries(file, entry.value,
                    EntryList<ProviderSettings>{"providers", "a provider", provider_fields_table(), loaded_.providers});
    } else if (entry.key == "models") {
      apply_entries(file, entry.value,
                    EntryList<RoutedModelSettings>{"models", "a model", routed_model_fields_table(), loaded_.models});
    } else {
      apply_entry(file, entry.key, entry);
    }
  }
}

// The value of a setting as its name there has it written.
void Loader::set_alias(const Named& named, const std::string& where, std::string_view value) {
  const auto& [info, alias] = named;
  if (!alias.when_true.empty()) {
    bool yes = false;
    if (const auto done = assign(&yes, Kind::boolean, {}, value); !done) {
      problems_.add(where, fmt::format("{} {}{}", alias.name, done.error().message, shown(value, info->limits)));
      return;
    }
    set(*info, where, yes ? alias.when_true : alias.when_false);
    return;
  }
  const bool bare = !value.empty() && value.find_first_not_of("0123456789.") == std::string_view::npos;
  std::string written(value);
  if (alias.seconds && bare) written += 's';
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (alias.plus_one && error == std::errc() && end == value.data() + value.size() && number < 1'000'000) {
    written = fmt::format("{}", number + 1);
  }
  set(*info, where, written);
}

// Kubernetes puts variables such as TESSERA_PORT=tcp://10.0.0.1:80 into pods beside a service of that name.
bool is_service_link(std::string_view name, std::string_view value) {
  return value.starts_with("tcp://") || value.starts_with("udp://") || name.ends_with("_SERVICE_HOST") ||
         name.find("_SERVICE_PORT") != std::string_view::npos || name.find("_TCP_") != std::string_view::npos ||
         name.find("_UDP_") != std::string_view::npos;
}

void Loader::apply_environment(const Environment& environment) {
  const auto value_of = [&](std::string_view name) -> std::string_view {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string_view() : std::string_view(found->second);
  };
  for (const SettingInfo& info : settings_table()) {
    const std::string own = info.environment_name();
    if (const auto value = value_of(own); !value.empty() && !is_service_link(own, value)) {
      set(info, "$" + own, value);
      continue;
    }
    for (const Alias& alias : parse_aliases(info.aliases)) {
      const auto value = value_of(alias.name);
      if (alias.path || value.empty() || is_service_link(alias.name, value)) continue;
      set_alias({&info, alias}, fmt::format("${}", alias.name), value);
      break;
    }
  }
  check_unknown(environment);
}

void Loader::check_unknown(const Environment& environment) {
  std::vector<std::string> names{"TESSERA_CONFIG"};
  for (const SettingInfo& info : settings_table()) names.push_back(info.environment_name());
  for (auto it = environment.lower_bound("TESSERA_"); it != environment.end() && it->first.starts_with("TESSERA_");
       ++it) {
    if (std::ranges::find(names, it->first) != names.end() || is_service_link(it->first, it->second)) continue;
    problems_.add("$" + cut(it->first), "unknown setting" + meant(it->first, names));
  }
}

void Loader::apply_flags(const std::vector<std::pair<std::string, std::string>>& flags) {
  for (const auto& [name, value] : flags) {
    if (const Named named = find_setting(name); named.info != nullptr) {
      set_alias(named, "--" + name, value);
    } else if (const Replaced* const row = find_replaced(name)) {
      problems_.add("--" + cut(name), std::string(row->instead));
    } else {
      problems_.add("--" + cut(name), "unknown setting" + meant(name, all_names()));
    }
  }
}

}  // namespace

Result<Loaded> load(const Sources& sources) {
  Loader loader;
  if (sources.file) loader.apply_file(*sources.file);
  loader.apply_environment(sources.environment);
  loader.apply_flags(sources.flags);
  return loader.finish(sources.environment);
}

}  // namespace tessera::config
