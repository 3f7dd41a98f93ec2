#include "store/rules.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "store/half.h"

namespace tessera::store {

using base::Code;
using base::fail;

base::Result<> check_tenant(const core::Tenant& tenant) {
  if (tenant.app_id.empty()) return fail(Code::invalid, "TENANT_REQUIRED", "The request names no application.");
  return {};
}

base::Result<> check_collection(const core::CollectionName& name) {
  TESSERA_CHECK(check_tenant(name.tenant));
  if (!core::valid_collection_name(name.name)) {
    return fail(Code::invalid, "COLLECTION_NAME_INVALID",
                "A collection's name has 1 to 128 letters, digits, '-', '_' or '.', and does not start with '.'.", "",
                "collection");
  }
  return {};
}

base::Result<> check_write(const core::DocumentWrite& write) {
  TESSERA_CHECK(check_collection(write.collection));
  if (write.document.head.document_id.empty()) {
    return fail(Code::invalid, "DOCUMENT_ID_INVALID", "A document needs an id.", "", "document_id");
  }
  const auto size = static_cast<int64_t>(write.document.text.size());
  const auto inside = [&](const core::Chunk& c) { return 0 <= c.start && c.start <= c.end && c.end <= size; };
  if (!std::ranges::all_of(write.chunks, inside)) {
    return fail(Code::invalid, "CHUNK_OUT_OF_RANGE", "A chunk does not lie inside its document's text.");
  }
  if (write.vectors.size() != (write.dimensions == 0 ? 0 : write.chunks.size() * write.dimensions)) {
    return fail(Code::invalid, "VECTORS_MISMATCH", "A document needs one vector for each of its chunks, or none.");
  }
  return {};
}

base::Result<> check_same_settings(const core::Collection& existing, const core::CollectionSettings& wanted) {
  if (existing.settings == wanted) return {};
  return fail(Code::conflict, "COLLECTION_EXISTS",
              "A collection of this name exists with other settings; use another name, or drop it first.", "", "name");
}

base::Result<> check_session(const core::Tenant& tenant, const core::Session& session) {
  TESSERA_CHECK(check_tenant(tenant));
  if (session.session_id.empty()) {
    return fail(Code::invalid, "SESSION_ID_INVALID", "A session needs an id.", "", "session_id");
  }
  return {};
}

base::Result<> check_messages(const core::Tenant& tenant, const std::vector<core::StoredMessage>& messages) {
  TESSERA_CHECK(check_tenant(tenant));
  if (std::ranges::any_of(messages, [](const auto& m) { return m.message_id.empty(); })) {
    return fail(Code::invalid, "MESSAGE_ID_INVALID", "A message needs an id.", "", "message_id");
  }
  return {};
}

base::Result<> check_task(const core::Tenant& tenant, const core::TaskRecord& record) {
  TESSERA_CHECK(check_tenant(tenant));
  if (record.task_id.empty()) return fail(Code::invalid, "TASK_ID_INVALID", "A task needs an id.", "", "task_id");
  return {};
}

base::Result<> check_key(const core::ApiKey& key) {
  TESSERA_CHECK(check_tenant(key.tenant));
  if (key.key_id.empty()) return fail(Code::invalid, "KEY_ID_INVALID", "A key needs an id.", "", "key_id");
  if (key.hash.size() != 32) return fail(Code::internal, "KEY_HASH_INVALID", "A key is kept as a hash of 32 bytes.");
  return {};
}

base::Result<> check_owner(const core::ResponseOwner& owner) {
  TESSERA_CHECK(check_tenant(owner.tenant));
  if (owner.response_id.empty()) {
    return fail(Code::invalid, "RESPONSE_ID_INVALID", "A response needs an id.", "", "response_id");
  }
  return {};
}

void complete_task(core::TaskRecord& record, int64_t now_ms) {
  if (record.created_at_ms == 0) record.created_at_ms = now_ms;
  if (record.updated_at_ms == 0) record.updated_at_ms = now_ms;
  if (record.failures.size() > core::kTaskFailuresMax) record.failures.resize(core::kTaskFailuresMax);
}

bool unfinished(std::string_view state) {
  return state == "running" || state == "watching";
}

base::Error collection_not_found() {
  return base::make_error(Code::not_found, "COLLECTION_NOT_FOUND",
                          "There is no collection of this name; create it, or ingest a document into it.", "",
                          "collection");
}

base::Error document_not_found() {
  return base::make_error(Code::not_found, "DOCUMENT_NOT_FOUND", "There is no document with this id.", "",
                          "document_id");
}

base::Error document_changed() {
  return base::make_error(Code::conflict, "DOCUMENT_CHANGED", "The document was changed meanwhile.");
}

base::Error document_elsewhere(const std::string& collection) {
  return base::make_error(
      Code::conflict, "DOCUMENT_IN_OTHER_COLLECTION",
      fmt::format("The document with this id is in collection '{}'; delete it there first, or use another id.",
                  collection),
      "", "document_id");
}

base::Error session_not_found() {
  return base::make_error(Code::not_found, "SESSION_NOT_FOUND", "There is no session with this id.", "", "session_id");
}

base::Error task_not_found() {
  return base::make_error(Code::not_found, "TASK_NOT_FOUND", "There is no task with this id.", "", "task_id");
}

base::Error key_not_found() {
  return base::make_error(Code::not_found, "KEY_NOT_FOUND", "There is no API key with this id.", "", "key_id");
}

base::Error key_exists() {
  return base::make_error(Code::conflict, "KEY_EXISTS", "There is an API key with this id already.", "", "key_id");
}

base::Error user_required() {
  return base::make_error(Code::invalid, "USER_REQUIRED", "Say whose data to erase.", "", "user_id");
}

int64_t page_limit(const core::PageRequest& page) {
  return std::clamp<int64_t>(page.limit, 1, 1000);
}

std::string encode_cursor(char list, const CursorPoint& point) {
  // Hexadecimal, so that any id survives a URL unescaped.
  const std::string plain = fmt::format("{}{}:{}", list, point.number, point.text);
  std::string out;
  out.reserve(plain.size() * 2);
  for (const char c : plain) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

base::Result<CursorPoint> decode_cursor(char list, std::string_view cursor) {
  const auto bad = [] {
    return fail(Code::invalid, "CURSOR_INVALID", "The cursor is not one that this list gave; start without a cursor.",
                "", "cursor");
  };
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1); };
  if (cursor.size() % 2 != 0 || cursor.size() > 4096) return bad();
  std::string plain;
  for (size_t i = 0; i < cursor.size(); i += 2) {
    const int high = digit(cursor[i]);
    const int low = digit(cursor[i + 1]);
    if (high < 0 || low < 0) return bad();
    plain += static_cast<char>(high * 16 + low);
  }
  const size_t colon = plain.find(':');
  if (plain.empty() || plain[0] != list || colon == std::string::npos) return bad();
  CursorPoint point;
  const auto [end, error] = std::from_chars(plain.data() + 1, plain.data() + colon, point.number);
  if (error != std::errc() || end != plain.data() + colon) return bad();
  point.text = plain.substr(colon + 1);
  return point;
}

std::string session_title(std::string_view content) {
  constexpr size_t kBytesMax = 80;
  const auto space = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7F; };
  std::string title;
  size_t i = 0;
  while (i < content.size()) {
    while (i < content.size() && space(content[i])) ++i;
    const size_t begin = i;
    while (i < content.size() && !space(content[i]) && i - begin <= kBytesMax) ++i;
    const std::string_view word = content.substr(begin, i - begin);
    if (word.empty()) break;
    if (title.size() + word.size() + 1 > kBytesMax) {
      if (title.empty()) {
        // One very long word (or a script without spaces): cut it between code points.
        size_t cut = std::min(kBytesMax, word.size());
        while (cut > 0 && cut < word.size() && (static_cast<unsigned char>(word[cut]) & 0xC0) == 0x80) --cut;
        title = word.substr(0, cut);
      }
      break;
    }
    if (!title.empty()) title += ' ';
    title += word;
  }
  return title;
}

void round_vectors(core::DocumentWrite& write) {
  std::array<uint16_t, 512> halves;
  for (size_t i = 0; i < write.vectors.size(); i += halves.size()) {
    const auto part = std::span(write.vectors).subspan(i, std::min(halves.size(), write.vectors.size() - i));
    encode_halves(part, std::span(halves).first(part.size()));
    decode_halves(std::span(halves).first(part.size()), part);
  }
}

}  // namespace tessera::store
