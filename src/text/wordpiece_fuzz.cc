#include <algorithm>
#include <cstdlib>
#include <vector>

#include "text/wordpiece.h"

using namespace tessera::text;

namespace {

/// A small vocabulary: the letters and some pieces, with a table for a few code points.
struct Vocabulary {
  Vocabulary() : slots(1024), pages(4352), classes(512), image_offsets{0, 1, 3} {
    add("", false);  // id 0 is never found
    for (char c = 'a'; c <= 'z'; ++c) add(std::string(1, c), false), add(std::string(1, c), true);
    for (const char* piece : {"the", "ing", "un", "able", ".", ",", "\xE6\x97\xA5"})
      add(piece, false), add(piece, true);
    pages[0x30] = pages[0x4E] = 1;
    classes[0x80 + 0x20] = WordPiece::kSpace;
    classes[0xAD] = WordPiece::kDrop;
    classes[0xBF] = WordPiece::kAlone;
    classes[0xE9] = WordPiece::kImage;
    for (size_t i = 256; i < 512; ++i) classes[i] = WordPiece::kAlone;
    classes[300] = WordPiece::kImageAlone + WordPiece::kImage + 1;
  }

  void add(const std::string& piece, bool continuation) {
    const auto id = static_cast<uint32_t>(offsets.size());
    bytes += piece;
    offsets.push_back(static_cast<uint32_t>(bytes.size() - piece.size()));
    if (piece.empty()) return;
    const uint64_t hash = WordPiece::hash(piece, continuation);
    size_t slot = hash >> 54;
    while (slots[slot] != 0) slot = (slot + 1) % slots.size();
    slots[slot] = static_cast<uint32_t>(hash >> 16 & 0xFFFF) << 16 | id;
  }

  [[nodiscard]] WordPiece tokenizer() {
    offsets.push_back(static_cast<uint32_t>(bytes.size()));
    return WordPiece({offsets, bytes, slots, pages, classes, image_offsets, "e..", 1});
  }

  std::vector<uint32_t> offsets;
  std::string bytes;
  std::vector<uint32_t> slots;
  std::vector<uint16_t> pages, classes;
  std::vector<uint32_t> image_offsets;
};

}  // namespace

/// With and without a memo, small and large buffers give the same ids, always move on, and count() agrees.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Vocabulary vocabulary;
  static const WordPiece tokenizer = vocabulary.tokenizer();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<uint16_t> large(size * 4 + WordPiece::kOutMin), small, out(WordPiece::kOutMin);
  const auto whole = tokenizer.encode(text, large);
  if (whole.bytes != size) std::abort();
  static WordPieceMemo memo;  // stays: what earlier inputs left must not show
  std::vector<uint16_t> recalled(large.size());
  const auto again = tokenizer.encode(text, recalled, &memo);
  if (again.bytes != size || again.ids != whole.ids) std::abort();
  if (!std::equal(recalled.begin(), recalled.begin() + static_cast<ptrdiff_t>(again.ids), large.begin())) std::abort();
  large.resize(whole.ids);
  for (std::string_view rest = text; !rest.empty();) {
    const auto progress = tokenizer.encode(rest, out);
    if (progress.bytes == 0 || progress.ids > out.size()) std::abort();
    small.insert(small.end(), out.begin(), out.begin() + static_cast<ptrdiff_t>(progress.ids));
    rest.remove_prefix(progress.bytes);
  }
  if (small != large || tokenizer.count(text) != large.size()) std::abort();
  for (const uint16_t id : large) {
    if (id == 0 || id + 1U >= vocabulary.offsets.size()) std::abort();
  }
  return 0;
}
