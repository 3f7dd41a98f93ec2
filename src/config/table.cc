#include "config/table.h"

#include <algorithm>

namespace tessera::config {
namespace {

// The vocabulary of the .def files.
constexpr Limits any() {
  return {};
}
constexpr Limits between(auto min, auto max) {
  Limits limits;
  limits.min = static_cast<double>(min);
  limits.max = static_cast<double>(max);
  limits.bounded = true;
  return limits;
}
constexpr Limits one_of(std::string_view choices) {
  Limits limits;
  limits.choices = choices;
  return limits;
}
constexpr Limits secret() {
  Limits limits;
  limits.secret = true;
  return limits;
}

// "llm.openai.model" is below "llm.openai" and "llm".
bool is_below(std::string_view path, std::string_view section) {
  return path.size() > section.size() && path[section.size()] == '.' && path.starts_with(section);
}

}  // namespace

std::span<const SettingInfo> settings_table() {
  static const SettingInfo kTable[] = {
#define TESSERA_SECTION(section, Type, help)
#define TESSERA_SETTING(section, member, kind, default_value, limits, reload, flag, environment, help) \
  {#section,    #member,        Kind::kind,                                                            \
   limits,      Reload::reload, flag,                                                                  \
   environment, help,           [](Settings& settings) -> FieldRef { return &settings.section.member; }},
#define TESSERA_SECTION_END(section, Type)
#include "config/settings.def"
#undef TESSERA_SECTION
#undef TESSERA_SETTING
#undef TESSERA_SECTION_END
  };
  return kTable;
}

std::span<const SectionInfo> sections_table() {
  static constexpr SectionInfo kTable[] = {
#define TESSERA_SECTION(section, Type, help) {#section, help},
#define TESSERA_SETTING(...)
#define TESSERA_SECTION_END(section, Type)
#include "config/settings.def"
#undef TESSERA_SECTION
#undef TESSERA_SETTING
#undef TESSERA_SECTION_END
  };
  return kTable;
}

std::span<const ProviderFieldInfo> provider_fields_table() {
  static const ProviderFieldInfo kTable[] = {
#define TESSERA_PROVIDER(member, kind, default_value, limits, help) \
  {#member, Kind::kind, limits, help, [](ProviderSettings& provider) -> FieldRef { return &provider.member; }},
#include "config/providers.def"
#undef TESSERA_PROVIDER
  };
  return kTable;
}

std::span<const RoutedModelFieldInfo> routed_model_fields_table() {
  static const RoutedModelFieldInfo kTable[] = {
#define TESSERA_ROUTED_MODEL(member, kind, default_value, limits, help) \
  {#member, Kind::kind, limits, help, [](RoutedModelSettings& model) -> FieldRef { return &model.member; }},
#include "config/models.def"
#undef TESSERA_ROUTED_MODEL
  };
  return kTable;
}

std::string SettingInfo::name() const {
  std::string result(section);
  result += '.';
  result += member;
  return result;
}

std::string SettingInfo::environment_name() const {
  std::string result = "TESSERA_";
  result += section;
  result += '_';
  result += member;
  std::ranges::transform(result, result.begin(), [](char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; });
  return result;
}

std::vector<Alias> parse_aliases(std::string_view aliases) {
  std::vector<Alias> result;
  while (!aliases.empty()) {
    const size_t space = std::min(aliases.find(' '), aliases.size());
    std::string_view word = aliases.substr(0, space);
    aliases.remove_prefix(std::min(space + 1, aliases.size()));
    Alias alias;
    if (word.ends_with(":s")) {
      alias.seconds = true;
      word.remove_suffix(2);
    } else if (word.ends_with(":+1")) {
      alias.plus_one = true;
      word.remove_suffix(3);
    } else if (const size_t mark = word.find('?'); mark != std::string_view::npos) {
      const size_t colon = word.find(':', mark);
      alias.when_true = word.substr(mark + 1, colon - mark - 1);
      alias.when_false = word.substr(colon + 1);
      word = word.substr(0, mark);
    }
    alias.name = word;
    alias.path = std::ranges::any_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
    result.push_back(alias);
  }
  return result;
}

std::span<const SectionName> section_names_table() {
  static constexpr SectionName kTable[] = {
#define TESSERA_SECTION_NAME(path, section) {path, #section},
#define TESSERA_REPLACED(...)
#include "config/names.def"
#undef TESSERA_SECTION_NAME
#undef TESSERA_REPLACED
  };
  return kTable;
}

std::span<const Replaced> replaced_table() {
  static constexpr Replaced kTable[] = {
#define TESSERA_SECTION_NAME(...)
#define TESSERA_REPLACED(path, accepted, instead) {path, accepted, instead},
#include "config/names.def"
#undef TESSERA_SECTION_NAME
#undef TESSERA_REPLACED
  };
  return kTable;
}

Named find_setting(std::string_view path) {
  std::string own(path);
  for (const SectionName& other : section_names_table()) {
    if (is_below(path, other.path)) own = std::string(other.section).append(path.substr(other.path.size()));
  }
  for (const SettingInfo& info : settings_table()) {
    if (info.name() == own) return {&info, {}};
  }
  for (const SettingInfo& info : settings_table()) {
    for (const Alias& alias : parse_aliases(info.aliases)) {
      if (alias.path && alias.name == own) return {&info, alias};
    }
  }
  return {};
}

const Replaced* find_replaced(std::string_view path) {
  for (const Replaced& row : replaced_table()) {
    if (row.path == path || is_below(path, row.path)) return &row;
  }
  return nullptr;
}

bool is_section(std::string_view path) {
  const auto holds = [path](std::string_view name) { return is_below(name, path); };
  for (const SectionInfo& section : sections_table()) {
    if (section.name == path) return true;
  }
  for (const SectionName& other : section_names_table()) {
    if (other.path == path || holds(other.path)) return true;
  }
  for (const Replaced& row : replaced_table()) {
    if (holds(row.path)) return true;
  }
  return std::ranges::any_of(settings_table(), [&](const SettingInfo& info) {
    return std::ranges::any_of(parse_aliases(info.aliases),
                               [&](const Alias& alias) { return alias.path && holds(alias.name); });
  });
}

}  // namespace tessera::config
