#pragma once

#include <string>

#include "api/api.h"
#include "base/result.h"
#include "config/settings.h"
#include "llm/engines/local_engines.h"
#include "llm/engines/model_file.h"
#include "observe/metrics.h"

namespace tessera::app {

/// The pools of local models that the settings ask for; none when no model is configured. Reads the heads of the model
/// files. Errors: invalid MODEL_FILE.
base::Result<llm::LocalEnginesOptions> local_engine_options(const config::Settings& settings);

/// The chat models that llama_cpp.model_path stands for. Errors: invalid MODEL_FILE.
base::Result<std::vector<llm::ModelFile>> local_chat_files(const config::Settings& settings);

/// The model that answers requests that name none, for people to read: "openai/gpt-4o", or for auto who is asked in
/// turn.
std::string default_model_text(const config::Settings& settings);

/// How they are, for /api/health/detailed.
api::PartHealth engines_health(const llm::LocalEngines& engines);

/// Sets the gauges of local models.
void collect_engines(const llm::LocalEngines& engines, observe::Metrics& metrics);

}  // namespace tessera::app
