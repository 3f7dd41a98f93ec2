#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/accounts.h"
#include "core/conversations.h"
#include "core/documents.h"
#include "core/response_owners.h"
#include "core/tasks.h"

/// What every implementation of the stores decides alike: checks of input, names of errors, page cursors, titles.
namespace tessera::store {

base::Result<> check_tenant(const core::Tenant& tenant);
base::Result<> check_collection(const core::CollectionName& name);
/// Also that chunks lie inside the text and vectors fit the chunks.
base::Result<> check_write(const core::DocumentWrite& write);
/// What to do with a collection asked for again.
base::Result<> check_same_settings(const core::Collection& existing, const core::CollectionSettings& wanted);

base::Result<> check_session(const core::Tenant& tenant, const core::Session& session);
base::Result<> check_messages(const core::Tenant& tenant, const std::vector<core::StoredMessage>& messages);
/// Also that there is a hash of the right length.
base::Result<> check_key(const core::ApiKey& key);
base::Result<> check_owner(const core::ResponseOwner& owner);
/// So many owners that are too old go with each that is new.
inline constexpr int64_t kOwnersDropped = 16;
base::Result<> check_task(const core::Tenant& tenant, const core::TaskRecord& record);
/// Fills in missing times and cuts the failures to kTaskFailuresMax.
void complete_task(core::TaskRecord& record, int64_t now_ms);
/// Whether a task in this state is taken up again at start.
bool unfinished(std::string_view state);

base::Error collection_not_found();
base::Error document_not_found();
base::Error document_changed();
base::Error document_elsewhere(const std::string& collection);
base::Error session_not_found();
base::Error task_not_found();
base::Error key_not_found();
base::Error key_exists();
base::Error user_required();

/// Page sizes are brought into 1..1000.
int64_t page_limit(const core::PageRequest& page);

/// A position in a list: the key of the last item shown.
struct CursorPoint {
  int64_t number = 0;
  std::string text;
};
/// `list` names the kind of list, so that a cursor of another list is refused.
std::string encode_cursor(char list, const CursorPoint& point);
/// Errors: invalid CURSOR_INVALID.
base::Result<CursorPoint> decode_cursor(char list, std::string_view cursor);

/// The first words of a message, at most 80 bytes, cut between words, white space folded.
std::string session_title(std::string_view content);

/// Rounds the vectors to the 16-bit floats that are kept, so that indexes see the same before and after a restart.
void round_vectors(core::DocumentWrite& write);

}  // namespace tessera::store
