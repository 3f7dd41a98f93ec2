#include "core/chat_model.h"

#include "core/model_ports.h"

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

Task<base::Result<std::string>> ChatModel::relay(const RequestContext&, const RelayRequest&, RelaySink*, RelayReport&) {
  co_return base::fail(base::Code::internal, "RELAY_UNSUPPORTED", "This model cannot pass requests on; this is a bug.");
}

ModelPorts ModelCatalog::ports(std::string_view) const {
  return {};
}

std::string ModelCatalog::default_for(const RequestContext&, ModelUse) const {
  return default_model();
}

}  // namespace tessera::core
