#include <array>
#include <cstddef>
#include <cstdint>

#include "parse/invariants.h"

namespace {

void append_number(std::string& out, uint64_t value, size_t bytes) {
  for (; bytes > 0; --bytes) {
    out += static_cast<char>(value & 0xFF);
    value >>= 8;
  }
}

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320U : 0U);
  }
  return ~crc;
}

/// A ZIP archive of one stored part, so that the fuzzer reaches the XML without guessing checksums.
std::string wrap(std::string_view name, std::string_view content) {
  std::string common;
  append_number(common, 20, 2);
  append_number(common, 0, 8);  // flags, method "stored", time and date
  append_number(common, crc32(content), 4);
  append_number(common, content.size(), 4);
  append_number(common, content.size(), 4);
  append_number(common, name.size(), 2);
  append_number(common, 0, 2);
  std::string out = "PK\x03\x04" + common;
  out.append(name).append(content);
  const size_t directory = out.size();
  out += "PK\x01\x02";
  append_number(out, 20, 2);
  out += common;
  append_number(out, 0, 14);  // comment, disk, attributes, offset
  out += name;
  const size_t directory_size = out.size() - directory;
  out += "PK\x05\x06";
  append_number(out, 0, 4);
  append_number(out, 1, 2);
  append_number(out, 1, 2);
  append_number(out, directory_size, 4);
  append_number(out, directory, 4);
  append_number(out, 0, 2);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::parse;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const ParseLimits limits{.text_bytes_max = 1UL << 20, .archive_entry_bytes_max = 1UL << 20};
  const std::string type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
  constexpr std::array<std::string_view, 3> kParts = {"word/document.xml", "word/styles.xml", "docProps/core.xml"};
  const size_t part = data[0] % 4;
  check_parse(part == 3 ? std::string(bytes) : wrap(kParts[part], bytes), type, limits);
  return 0;
}
