// Any bytes as an embedding model whose checksum fits: refused, or a model that embeds and counts within memory. The
// input: a byte that chooses, then changes of four bytes each (place in the header and the tables, and value) to the
// model inside the binary, and a text; or a whole file.
#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "base/hash.h"
#include "index/embedding/embedded_model.h"
#include "index/embedding/static_embedder.h"

namespace {

using namespace tessera;
using namespace tessera::index;

constexpr size_t kHeader = 256;
constexpr size_t kChecksumAt = 40;
constexpr std::align_val_t kAlignment{64};

/// Bytes where a model may lie.
class Aligned {
 public:
  explicit Aligned(std::string_view from)
      : size_(from.size()), data_(static_cast<char*>(::operator new(std::max<size_t>(from.size(), 1), kAlignment))) {
    std::ranges::copy(from, data_);
  }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  ~Aligned() { ::operator delete(data_, kAlignment); }
  char* data() { return data_; }
  [[nodiscard]] std::string_view bytes() const { return {data_, size_}; }
  void fit_checksum() {
    if (size_ < kHeader) return;
    const uint64_t checksum = base::hash64(bytes().substr(kHeader));
    std::memcpy(data_ + kChecksumAt, &checksum, sizeof checksum);
  }

 private:
  size_t size_;
  char* data_;
};

void use(std::string_view file, std::string_view text) {
  const auto model = StaticModel::open(file);
  if (!model || !model->verify()) return;
  const StaticEmbedder embedder(*model);
  std::vector<float> vector(embedder.dimensions());
  embedder.embed_one(text, vector);
  embedder.embed_one("A plain text, with words and 中文", vector);
  static_cast<void>(embedder.count_tokens(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 8 == 0) {
    Aligned file(input);
    file.fit_checksum();
    use(file.bytes(), input);
    return 0;
  }
  const std::string_view sound = embedded_static_model();
  Aligned file(sound);
  for (size_t changes = data[0] % 8; changes > 0 && input.size() >= 4; --changes, input.remove_prefix(4)) {
    uint32_t place = 0;
    std::memcpy(&place, input.data(), 3);
    const size_t within = (place & 1) != 0 ? kHeader : sound.size();  // half of them in the header
    file.data()[(place >> 1) % within] = input[3];
  }
  file.fit_checksum();
  use(file.bytes(), input);
  return 0;
}
