#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tessera::llm {

/// What the head of a GGUF file says of its model.
struct ModelFile {
  std::string path;
  std::string name;          ///< the file's, without ".gguf": what clients call the model
  std::string title;         ///< as its makers named it, or empty
  std::string architecture;  ///< "llama", "bert", ...
  std::string quantization;  ///< "Q4", "F16", ... as the file's name says; empty: it does not
  uint64_t bytes = 0;
  uint64_t context_length = 0;    ///< tokens it was trained for; 0: not said
  uint64_t embedding_length = 0;  ///< the width of its vectors; 0: not said
};

/// Reads the head only, whatever the size of the file. Errors: invalid MODEL_FILE (cannot be read, is no GGUF, is cut).
base::Result<ModelFile> read_model_file(const std::string& path);

/// "F32", "F16", "Q8" ... "Q2" from a file's name ("mistral-7b.Q4_K_M.gguf"); empty: it says nothing.
std::string quantization_of(std::string_view file_name);

/// `path` itself, or the GGUF files in it when it is a directory, by name; of these only the ones of `quantization`
/// unless that is empty. Files that are no models are left out. Errors: invalid MODEL_FILE when nothing is found.
base::Result<std::vector<ModelFile>> find_model_files(const std::string& path, std::string_view quantization);

}  // namespace tessera::llm
