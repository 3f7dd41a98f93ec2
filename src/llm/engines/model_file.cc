#include "llm/engines/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>

namespace tessera::llm {
namespace {

// github.com/ggml-org/ggml/blob/master/docs/gguf.md: magic, version, counts, then key, kind, value. All little-endian.
constexpr uint32_t kText = 8;
constexpr uint32_t kArray = 9;
constexpr uint64_t kTextMax = 1UL << 16U;
constexpr uint64_t kKeysMax = 4096;

class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path, std::ios::binary) {}
  [[nodiscard]] bool good() const { return file_.good(); }

  template <class T>
  T number() {
    T value{};
    file_.read(reinterpret_cast<char*>(&value), sizeof value);
    return file_ ? value : T{};
  }
  std::string text() {
    const auto size = number<uint64_t>();
    if (size > kTextMax) file_.setstate(std::ios::failbit);
    std::string out(file_ ? size : 0, '\0');
    file_.read(out.data(), static_cast<std::streamsize>(out.size()));
    return out;
  }
  void skip(uint64_t bytes) {
    if (bytes > (1ULL << 40U)) file_.setstate(std::ios::failbit);
    if (file_) file_.seekg(static_cast<std::streamoff>(bytes), std::ios::cur);
  }

 private:
  std::ifstream file_;
};

uint64_t size_of_kind(uint32_t kind) {
  constexpr uint64_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kind < std::size(kSizes) ? kSizes[kind] : 0;
}

// A number of whichever kind; 0 for what is none. False when the rest cannot be read.
bool read_value(Reader& in, uint32_t kind, uint64_t& number, std::string& text) {
  if (kind == kText) {
    text = in.text();
  } else if (kind == 4 || kind == 5) {
    number = in.number<uint32_t>();
  } else if (kind == 10 || kind == 11) {
    number = in.number<uint64_t>();
  } else if (kind == kArray) {
    const auto element = in.number<uint32_t>();
    const auto count = in.number<uint64_t>();
    const uint64_t size = size_of_kind(element);
    if (size == 0 || count > (1UL << 32U)) return false;  // texts: the vocabulary; what we look for stands before it
    in.skip(size * count);
  } else {
    const uint64_t size = size_of_kind(kind);
    if (size == 0) return false;
    in.skip(size);
  }
  return in.good();
}

base::Error not_a_model(const std::string& path, std::string_view why) {
  return base::make_error(base::Code::invalid, "MODEL_FILE", fmt::format("the model file {} {}", path, why));
}

}  // namespace

std::string quantization_of(std::string_view file_name) {
  std::string upper(file_name);
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  for (size_t at = 0; at + 1 < upper.size(); ++at) {
    const bool begins = at == 0 || std::string_view("-._ ").find(upper[at - 1]) != std::string_view::npos;
    if (!begins) continue;
    const std::string_view rest = std::string_view(upper).substr(at);
    for (const std::string_view word : {"BF16", "F32", "F16"}) {
      if (rest.starts_with(word)) return std::string(word);
    }
    const size_t digit = rest.starts_with("IQ") ? 2 : 1;
    if ((rest[0] != 'Q' && digit == 1) || rest.size() <= digit || rest[digit] < '1' || rest[digit] > '8') continue;
    const bool ends = rest.size() == digit + 1 || rest[digit + 1] == '_' || rest[digit + 1] == '.';
    if (ends) return fmt::format("Q{}", rest[digit]);
  }
  return {};
}

base::Result<ModelFile> read_model_file(const std::string& path) {
  ModelFile model;
  model.path = path;
  const std::filesystem::path file(path);
  model.name = file.extension() == ".gguf" ? file.stem().string() : file.filename().string();
  model.quantization = quantization_of(file.filename().string());
  std::error_code failed;
  model.bytes = std::filesystem::file_size(file, failed);
  Reader in(path);
  if (failed || !in.good()) return std::unexpected(not_a_model(path, "cannot be read"));
  const auto magic = in.number<uint32_t>();
  const auto version = in.number<uint32_t>();
  in.skip(sizeof(uint64_t));  // the number of tensors
  const auto keys = in.number<uint64_t>();
  if (!in.good() || magic != 0x46554747U || version < 2 || version > 16 || keys > kKeysMax) {
    return std::unexpected(not_a_model(path, "is no GGUF file"));
  }
  for (uint64_t i = 0; i < keys; ++i) {
    const std::string key = in.text();
    const auto kind = in.number<uint32_t>();
    uint64_t number = 0;
    std::string text;
    if (!in.good()) return std::unexpected(not_a_model(path, "is cut off"));
    if (!read_value(in, kind, number, text)) break;
    if (key == "general.architecture") model.architecture = text;
    if (key == "general.name") model.title = text;
    if (key == model.architecture + ".context_length") model.context_length = number;
    if (key == model.architecture + ".embedding_length") model.embedding_length = number;
  }
  if (model.architecture.empty()) return std::unexpected(not_a_model(path, "does not say what it is"));
  return model;
}

base::Result<std::vector<ModelFile>> find_model_files(const std::string& path, std::string_view quantization) {
  std::vector<ModelFile> found;
  std::error_code failed;
  if (!std::filesystem::is_directory(path, failed)) {
    TESSERA_TRY(ModelFile model, read_model_file(path));
    found.push_back(std::move(model));
    return found;
  }
  for (const auto& entry : std::filesystem::directory_iterator(path, failed)) {
    if (entry.path().extension() != ".gguf") continue;
    auto model = read_model_file(entry.path().string());
    if (!model || (!quantization.empty() && model->quantization != quantization)) continue;
    found.push_back(*std::move(model));
  }
  std::ranges::sort(found, {}, &ModelFile::name);
  if (found.empty()) return std::unexpected(not_a_model(path, "is a directory without such models"));
  return found;
}

}  // namespace tessera::llm
