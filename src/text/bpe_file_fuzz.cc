// Any bytes as a vocabulary whose checksum fits: refused, or one that encodes and counts within memory. The input: a
// byte that chooses, then changes of five bytes each (a byte for the section, or the header; two for the place; two
// added there) to a vocabulary inside the binary, and a text; or a whole file.
#include <cstring>
#include <string>
#include <vector>

#include "base/hash.h"
#include "text/bpe.h"
#include "text/bpe_embedded.h"

namespace {

using namespace tessera;
using namespace tessera::text;

constexpr size_t kHeader = 128;
constexpr size_t kChecksumAt = 40;
constexpr size_t kSectionsAt = 48;
constexpr size_t kSections = 8;
constexpr size_t kChange = 5;

/// A file as words, which lie as a vocabulary has to.
class VocabularyFile {
 public:
  explicit VocabularyFile(std::string_view from) : words_((from.size() + 7) / 8), size_(from.size()) {
    if (size_ > 0) std::memcpy(words_.data(), from.data(), size_);
  }
  [[nodiscard]] std::string_view bytes() const { return {reinterpret_cast<const char*>(words_.data()), size_}; }
  void change(std::string_view how) {
    uint32_t sections[2 * kSections];
    std::memcpy(sections, bytes().data() + kSectionsAt, sizeof sections);
    uint16_t place = 0;
    uint16_t value = 0;
    std::memcpy(&place, how.data() + 1, sizeof place);
    std::memcpy(&value, how.data() + 3, sizeof value);
    const size_t which = static_cast<uint8_t>(how[0]) % (kSections + 1);
    const size_t start = which == kSections ? 0 : sections[2 * which];
    const size_t length = which == kSections ? kHeader : sections[2 * which + 1];
    const size_t at = start + (size_t{place} * 61 + static_cast<uint8_t>(how[0]) / (kSections + 1)) % length;
    if (start > size_ || length > size_ - start || at + sizeof value > size_) return;
    char* const to = reinterpret_cast<char*>(words_.data()) + at;
    uint16_t was = 0;
    std::memcpy(&was, to, sizeof was);
    was = static_cast<uint16_t>(was + value);
    std::memcpy(to, &was, sizeof was);
  }
  void seal() {
    if (size_ < kHeader) return;
    char* const header = reinterpret_cast<char*>(words_.data());
    std::memset(header + kChecksumAt, 0, 8);
    const uint64_t sum = base::hash64(bytes().substr(kHeader), base::hash64(bytes().substr(0, kHeader)));
    std::memcpy(header + kChecksumAt, &sum, sizeof sum);
  }

 private:
  std::vector<uint64_t> words_;
  size_t size_;
};

void use(const VocabularyFile& file, std::string_view given) {
  const auto vocabulary = BpeVocabulary::open(file.bytes());
  if (!vocabulary) return;
  for (const std::string_view text : {given, std::string_view("Plain words, 12 of them; \xE4\xB8\xAD\xE6\x96\x87!")}) {
    std::vector<uint32_t> ids;
    vocabulary->encode(text, ids);
    size_t bytes = 0;
    for (const uint32_t id : ids) bytes += vocabulary->token(id).size();
    static_cast<void>(bytes);
    static_cast<void>(vocabulary->count_tokens(text));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 8 == 0) {
    VocabularyFile file(input);
    file.seal();
    use(file, input);
    return 0;
  }
  VocabularyFile file(data[0] % 2 == 0 ? embedded_cl100k() : embedded_o200k());
  for (size_t changes = 1 + data[0] / 32; changes > 0 && input.size() >= kChange; --changes) {
    file.change(input.substr(0, kChange));
    input.remove_prefix(kChange);
  }
  file.seal();
  use(file, input);
  return 0;
}
