#include "rag/document_hash.h"

#include <fmt/core.h>

#include <variant>

#include "base/hash.h"

namespace tessera::rag {

namespace {

// Raised when chunking or what is embedded changes, so that the next ingest of the same file is not skipped.
constexpr int kPipelineVersion = 1;

// Length before content: two different lists of parts never give the same bytes.
void add(std::string& out, std::string_view part) {
  fmt::format_to(std::back_inserter(out), "{}:", part.size());
  out.append(part);
}

struct AddValue {
  std::string& out;
  void operator()(std::monostate) const { out += 'n'; }
  void operator()(bool value) const { out += value ? "b1" : "b0"; }
  void operator()(int64_t value) const { fmt::format_to(std::back_inserter(out), "i{};", value); }
  void operator()(double value) const { fmt::format_to(std::back_inserter(out), "d{};", value); }
  void operator()(const std::string& value) const {
    out += 's';
    add(out, value);
  }
  void operator()(const std::vector<std::string>& values) const {
    fmt::format_to(std::back_inserter(out), "l{};", values.size());
    for (const auto& value : values) add(out, value);
  }
};

}  // namespace

std::string document_hash(const IngestRequest& request) {
  // The bytes are hashed apart so that a large document is not copied.
  std::string parts = base::content_hash(request.bytes);
  add(parts, request.name);
  add(parts, request.title);
  add(parts, request.content_type);
  for (const auto& [field, value] : request.metadata) {
    add(parts, field);
    std::visit(AddValue{parts}, value);
  }
  return base::content_hash(parts);
}

std::string settings_fingerprint(const core::CollectionSettings& settings, size_t dimensions) {
  std::string parts = fmt::format("{}/{}/{}/", kPipelineVersion, settings.chunk_size, settings.chunk_overlap);
  add(parts, settings.embedding_model);
  fmt::format_to(std::back_inserter(parts), "/{}", dimensions);
  return fmt::format("{:016x}", base::hash64(parts));
}

std::string file_stem(std::string_view name) {
  if (const size_t query = name.find_first_of("?#");
      query != std::string_view::npos && name.find("://") != std::string_view::npos) {
    name = name.substr(0, query);
  }
  while (name.ends_with('/')) name.remove_suffix(1);
  if (const size_t slash = name.find_last_of("/\\"); slash != std::string_view::npos) name.remove_prefix(slash + 1);
  if (const size_t dot = name.rfind('.'); dot != std::string_view::npos && dot > 0) name = name.substr(0, dot);
  return std::string(name);
}

}  // namespace tessera::rag
