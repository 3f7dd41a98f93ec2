#pragma once

#include "core/model_ports.h"
#include "llm/engines/engine_pool.h"

namespace tessera::llm {

/// What local engines do besides chat: a port for each pool that is there, null for one that is not. Calls whose engine
/// ended are asked again of another. The pools outlive the ports. Errors as EnginePool::acquire and ProviderClient.
struct EnginePools {
  EnginePool* embedding = nullptr;
  EnginePool* rerank = nullptr;
  EnginePool* transcription = nullptr;
};
core::ModelPorts engine_ports(const EnginePools& pools);

}  // namespace tessera::llm
