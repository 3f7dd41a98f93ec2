#pragma once

#include <string_view>

namespace tessera::llm {

/// The tool whose input is the answer when a request demands JSON.
inline constexpr std::string_view kAnswerTool = "final_answer_json";

}  // namespace tessera::llm
