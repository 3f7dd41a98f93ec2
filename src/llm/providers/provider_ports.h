#pragma once

#include <memory>

#include "core/model_ports.h"
#include "llm/providers/provider_client.h"

namespace tessera::llm {

/// What a client's kind of provider does besides chat; null for what it does not.
core::ModelPorts make_provider_ports(std::shared_ptr<ProviderClient> client);

/// A multipart/form-data body of these parts, and its Content-Type. `boundary` stands in none of the parts.
struct FormText {
  std::string content_type;
  std::string body;
};
FormText render_form(const std::vector<core::FormPart>& parts, std::string_view boundary);

}  // namespace tessera::llm
