#include "core/chat_model.h"

namespace tessera::core {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::system:
      return "system";
    case Role::user:
      return "user";
    case Role::assistant:
      return "assistant";
    case Role::tool:
      return "tool";
  }
  return "user";
}

std::optional<Role> parse_role(std::string_view text) {
  if (text == "system" || text == "developer") return Role::system;
  if (text == "user") return Role::user;
  if (text == "assistant") return Role::assistant;
  if (text == "tool") return Role::tool;
  return std::nullopt;
}

}  // namespace tessera::core
