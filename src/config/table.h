#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "config/settings.h"

namespace tessera::config {

/// What values are allowed. The default allows any of the kind.
struct Limits {
  double min = 0;
  double max = 0;
  bool bounded = false;
  std::string_view choices;  ///< "open|keys", or empty
  bool secret = false;
};

enum class Reload { live, restart };

/// Points at one member of a Settings or of an entry of a list.
using FieldRef = std::variant<bool*, int64_t*, double*, std::string*, base::Millis*, std::vector<std::string>*>;

/// One row of settings.def. Strings are constants.
struct SettingInfo {
  std::string_view section;
  std::string_view member;
  Kind kind = Kind::text;
  Limits limits;
  Reload reload = Reload::restart;
  std::string_view flag;
  std::string_view aliases;
  std::string_view help;
  FieldRef (*field)(Settings&) = nullptr;

  /// "server.port"
  [[nodiscard]] std::string name() const;
  /// "TESSERA_SERVER_PORT"
  [[nodiscard]] std::string environment_name() const;
};

/// One row of the fields of a list's entries: providers.def, models.def.
template <class Entry>
struct EntryFieldInfo {
  std::string_view member;
  Kind kind = Kind::text;
  Limits limits;
  std::string_view help;
  FieldRef (*field)(Entry&) = nullptr;
};
using ProviderFieldInfo = EntryFieldInfo<ProviderSettings>;
using RoutedModelFieldInfo = EntryFieldInfo<RoutedModelSettings>;

struct SectionInfo {
  std::string_view name;
  std::string_view help;
};

/// The tables, in the order of the .def files.
std::span<const SettingInfo> settings_table();
std::span<const SectionInfo> sections_table();
std::span<const ProviderFieldInfo> provider_fields_table();
std::span<const RoutedModelFieldInfo> routed_model_fields_table();

/// Another name of a setting, taken apart.
struct Alias {
  std::string_view name;
  bool path = false;           ///< in the file ("api.priority_queue"), else in the environment
  bool seconds = false;        ///< a bare number counts seconds
  bool plus_one = false;       ///< one more is meant than written: retries are tries but for the first
  std::string_view when_true;  ///< set: the variable is a boolean that stands for a value
  std::string_view when_false;
};
std::vector<Alias> parse_aliases(std::string_view aliases);

/// Rows of names.def: another name of a section, and a name without a counterpart.
struct SectionName {
  std::string_view path;
  std::string_view section;
};
struct Replaced {
  std::string_view path;
  std::string_view accepted;  ///< the value that changes nothing; empty: there is none
  std::string_view instead;   ///< a sentence, for behind the name
};
std::span<const SectionName> section_names_table();
std::span<const Replaced> replaced_table();

/// What a path of the file or a flag stands for.
struct Named {
  const SettingInfo* info = nullptr;  ///< null: nothing
  Alias alias;                        ///< how its value is written, when the name is another's
};
/// By its own name, else by another.
Named find_setting(std::string_view path);
/// The row for `path`, or for the section that it is in; or null.
const Replaced* find_replaced(std::string_view path);
/// Whether settings stand below `path`, under their own or other names.
bool is_section(std::string_view path);

/// Sets the field from its written form. Error: what is wrong with it and what would be right, without the name.
base::Result<> assign(FieldRef field, Kind kind, const Limits& limits, std::string_view value);
base::Result<> assign_list(FieldRef field, std::vector<std::string> values);

/// The value as it would be written in YAML ("64MiB", "10s", "[a, b]").
std::string format_value(FieldRef field, Kind kind);
/// "0 to 65535", "open, keys", or "".
std::string format_limits(Kind kind, const Limits& limits);

}  // namespace tessera::config
