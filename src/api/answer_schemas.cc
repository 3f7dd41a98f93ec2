#include "api/schema_fields.h"

namespace tessera::api {
namespace {

using namespace fields;

// --- Answers ---

constexpr Field kIngestResponseFields[] = {
    required(text_field("document_id", "The document")),
    required(choice_field("status", "indexed|unchanged", "unchanged: the same content was there")),
    required(integer_field("chunks", "Its chunks")),
    required(integer_field("version", "Grows with every change")),
};
constexpr Schema kIngestResponse{"IngestResponse", kIngestResponseFields};

constexpr Field kTaskAcceptedFields[] = {required(text_field("task_id", "Ask /api/tasks/{task_id} for progress"))};
constexpr Schema kTaskAccepted{"TaskAccepted", kTaskAcceptedFields};

constexpr Field kScanReportFields[] = {
    required(text_field("path", "The directory")),
    required(integer_field("files", "Files that are documents")),
    required(integer_field("new", "Files that are not in the collection")),
    required(integer_field("modified", "Files that changed since they were taken in")),
    required(integer_field("deleted", "Documents whose file is gone")),
    required(integer_field("unchanged", "Files that are as they were")),
    required(list_field("new_paths", nullptr, "The first of them")),
    required(list_field("modified_paths", nullptr, "The first of them")),
    required(list_field("deleted_paths", nullptr, "The first of them")),
    required(boolean_field("truncated", "Whether a bound cut the walk short")),
};
constexpr Schema kScanReport{"ScanReport", kScanReportFields};

constexpr Field kTaskFailureFields[] = {
    required(text_field("item", "The file or line")),
    required(text_field("code", "The error's name")),
    required(text_field("message", "What was wrong with it")),
};
constexpr Schema kTaskFailure{"TaskFailure", kTaskFailureFields};

constexpr Field kTaskStateFields[] = {
    required(text_field("task_id", "The task")),
    required(choice_field("kind", "ingest_directory|scan_vault|reindex", "What it does")),
    required(choice_field("state", "running|watching|done|failed|cancelled|interrupted", "Where it stands")),
    required(text_field("collection", "The collection it works on")),
    required(text_field("path", "The directory")),
    required(boolean_field("watch", "Whether it follows changes")),
    required(number_field("progress", "0 to 1")),
    required(integer_field("total", "Documents to look at; 0 while unknown")),
    required(integer_field("done", "Documents looked at")),
    required(integer_field("added", "New documents")),
    required(integer_field("updated", "Changed documents")),
    required(integer_field("unchanged", "Documents left as they were")),
    required(integer_field("deleted", "Documents whose file is gone")),
    required(integer_field("failed", "Documents that could not be taken in")),
    required(list_field("failures", &kTaskFailure, "The first 100 of them")),
    required(nullable(text_field("error", "Why the task as a whole failed"))),
    required(text_field("created_at", "RFC 3339")),
    required(text_field("updated_at", "RFC 3339")),
};
constexpr Schema kTaskState{"TaskState", kTaskStateFields};

constexpr Field cursor_field() {
  return required(nullable(text_field("next_cursor", "Ask for the next page with it")));
}

constexpr Field kTaskListFields[] = {required(list_field("items", &kTaskState, "Tasks")), cursor_field()};
constexpr Schema kTaskList{"TaskList", kTaskListFields};

constexpr Field kDocumentHeadFields[] = {
    required(text_field("document_id", "The document")),
    required(text_field("collection", "Where it is")),
    required(text_field("title", "Its title")),
    required(text_field("content_type", "What it was read as")),
    required(text_field("source", "Path or URL it came from")),
    required(map_field("metadata", "Names and values")),
    required(integer_field("version", "Grows with every change")),
    required(integer_field("chunks", "Its chunks")),
    required(integer_field("bytes", "Length of its text")),
    required(text_field("created_at", "RFC 3339")),
    required(text_field("updated_at", "RFC 3339")),
};
constexpr Schema kDocumentHead{"Document", kDocumentHeadFields};

constexpr Field kDocumentListFields[] = {required(list_field("items", &kDocumentHead, "Documents")), cursor_field()};
constexpr Schema kDocumentList{"DocumentList", kDocumentListFields};

constexpr Field kChunkFields[] = {
    required(text_field("chunk_id", "The chunk")),
    required(integer_field("start", "First byte in the document's text")),
    required(integer_field("end", "Byte after the last")),
    required(integer_field("tokens", "Its length in tokens")),
    required(text_field("heading", "The headings above it")),
};
constexpr Schema kChunk{"Chunk", kChunkFields};

constexpr Field kDocumentDetailFields[] = {
    required(object_field("document", &kDocumentHead, "The document")),
    required(text_field("text", "Its text, as stored and cited")),
    required(list_field("chunks", &kChunk, "Its chunks, in order")),
};
constexpr Schema kDocumentDetail{"DocumentDetail", kDocumentDetailFields};

constexpr Field kDeletedFields[] = {required(boolean_field("deleted", "true"))};
constexpr Schema kDeleted{"Deleted", kDeletedFields};

constexpr Field kErasedFields[] = {required(integer_field("sessions", "Sessions that were erased"))};
constexpr Schema kErased{"Erased", kErasedFields};

constexpr Field kCollectionFields[] = {
    required(text_field("name", "The collection")),
    required(integer_field("chunk_size", "Tokens of a chunk, at most")),
    required(integer_field("chunk_overlap", "Tokens shared by neighbouring chunks")),
    required(text_field("embedding_model", "Its embedding model")),
    required(boolean_field("stemming", "Whether lexical search matches stems")),
    required(nullable(map_field("metadata_schema", "As given"))),
    required(integer_field("documents", "Its documents")),
    required(integer_field("chunks", "Their chunks")),
    required(text_field("created_at", "RFC 3339")),
};
constexpr Schema kCollectionDetail{"CollectionDetail", kCollectionFields};
constexpr Field kCollectionListFields[] = {required(list_field("items", &kCollectionDetail, "Collections")),
                                           cursor_field()};
constexpr Schema kCollectionList{"CollectionList", kCollectionListFields};

constexpr Field kSearchHitFields[] = {
    required(text_field("document_id", "The document")),
    required(text_field("chunk_id", "The chunk")),
    required(text_field("title", "The document's title")),
    required(text_field("heading", "The headings above the chunk")),
    required(text_field("text", "The chunk's text: bytes start to end of the document's")),
    required(number_field("score", "Higher is better; the scale belongs to the mode")),
    required(integer_field("start", "First byte in the document's text")),
    required(integer_field("end", "Byte after the last")),
    required(map_field("metadata", "The document's")),
};
constexpr Schema kSearchHit{"SearchHit", kSearchHitFields};
constexpr Field kSearchResponseFields[] = {
    required(list_field("results", &kSearchHit, "Best first; exactly min(top_k, matches)")),
    required(number_field("took_ms", "The server's own time")),
    required(list_field("degraded", nullptr, "Engines that had to be left out")),
};
constexpr Schema kSearchResponse{"SearchResponse", kSearchResponseFields};

constexpr Field kVectorIndexStatsFields[] = {
    required(integer_field("rows", "Vectors")),
    required(integer_field("graph_rows", "Vectors reached by the graph; the others are scanned")),
    required(integer_field("m", "Links of a vector in the graph (vector_db.hnsw_m)")),
    required(integer_field("ef_construction", "Candidates looked at for a new vector's links")),
    required(integer_field("ef_search", "Candidates of a search, as set or as chosen for the recall target")),
    required(number_field("recall_target", "Share of the true nearest that a search is to find")),
    required(number_field("recall_measured", "That share on a sample of the collection; 1 while all is scanned")),
};
constexpr Schema kVectorIndexStats{"VectorIndexStats", kVectorIndexStatsFields};

constexpr Field kIndexStatsFields[] = {
    required(integer_field("collections", "Collections")),
    required(integer_field("documents", "Documents stored")),
    required(integer_field("chunks", "Chunks stored")),
    required(integer_field("indexed_documents", "Documents that search sees")),
    required(integer_field("indexed_chunks", "Chunks that search sees")),
    required(integer_field("terms", "Distinct terms of the lexical index")),
    required(integer_field("dimensions", "Length of the vectors")),
    required(integer_field("segments", "Segments of the lexical index")),
    required(integer_field("memory_bytes", "Memory of the indexes, mapped files not counted")),
    required(integer_field("mapped_bytes", "Mapped files of the indexes")),
    required(object_field("vectors", &kVectorIndexStats, "The dense index; of several collections, the largest")),
    required(text_field("state", "State of the index feed")),
    required(integer_field("lag", "Committed changes that search does not see yet")),
};
constexpr Schema kIndexStats{"IndexStats", kIndexStatsFields};

constexpr Field kSourceFields[] = {
    required(integer_field("n", "The number in the answer's markers")),
    required(text_field("document_id", "The document")),
    required(text_field("chunk_id", "The chunk")),
    required(text_field("title", "The document's title")),
    required(text_field("snippet", "Bytes start to end of the document's text")),
    required(integer_field("start", "First byte in the document's text")),
    required(integer_field("end", "Byte after the last")),
    required(number_field("score", "Of the retrieval")),
    required(boolean_field("cited", "Whether the answer cites it")),
};
constexpr Schema kSource{"Source", kSourceFields};

constexpr Field kUsageFields[] = {
    required(integer_field("prompt_tokens", "Tokens sent to the model")),
    required(integer_field("completion_tokens", "Tokens of the answer")),
    required(number_field("cost_usd", "What it cost")),
};
constexpr Schema kUsage{"Usage", kUsageFields};

constexpr Field kCacheNoteFields[] = {
    required(boolean_field("hit", "Whether the answer came from a cache")),
    required(nullable(text_field("level", "Which one"))),
};
constexpr Schema kCacheNote{"CacheNote", kCacheNoteFields};

constexpr Field kChatResponseFields[] = {
    required(text_field("session_id", "The session")),
    required(text_field("message_id", "The answer")),
    required(text_field("answer", "With markers [n] for its sources")),
    required(list_field("sources", &kSource, "What the answer rests on")),
    required(text_field("model", "Who answered")),
    required(text_field("finish_reason", "stop, length, ...")),
    required(object_field("usage", &kUsage, "Tokens and cost")),
    required(object_field("cache", &kCacheNote, "Whether a cache answered")),
    required(map_field("timings", "Milliseconds by stage")),
    required(list_field("degraded", nullptr, "Optional parts that were left out")),
};
constexpr Schema kChatResponse{"ChatResponse", kChatResponseFields};

constexpr Field kAskResponseFields[] = {
    required(text_field("answer", "With markers [n] for its sources")),
    required(list_field("sources", &kSource, "What the answer rests on")),
    required(text_field("model_used", "Who answered")),
    required(boolean_field("context_used", "Whether documents were used")),
    required(number_field("processing_time", "Seconds")),
};
constexpr Schema kAskResponse{"AskResponse", kAskResponseFields};

constexpr Field kSessionFields[] = {
    required(text_field("session_id", "The session")),
    required(nullable(text_field("user_id", "The person"))),
    required(text_field("title", "The first words of the first message")),
    required(integer_field("messages", "Its messages")),
    required(text_field("created_at", "RFC 3339")),
    required(text_field("last_active", "RFC 3339")),
};
constexpr Schema kSessionDetail{"SessionDetail", kSessionFields};
constexpr Field kSessionListFields[] = {required(list_field("items", &kSessionDetail, "Sessions")), cursor_field()};
constexpr Schema kSessionList{"SessionList", kSessionListFields};

constexpr Field kMessageFields[] = {
    required(text_field("message_id", "The message")),
    required(choice_field("role", "system|user|assistant|tool", "Who said it")),
    required(text_field("content", "What was said")),
    required(nullable(text_field("model", "Who answered"))),
    required(choice_field("state", "complete|cancelled|failed", "Whether it is whole")),
    required(list_field("sources", &kSource, "What the answer rests on")),
    required(text_field("created_at", "RFC 3339")),
};
constexpr Schema kMessage{"Message", kMessageFields};
constexpr Field kMessageListFields[] = {required(list_field("items", &kMessage, "Messages")), cursor_field()};
constexpr Schema kMessageList{"MessageList", kMessageListFields};

#define TESSERA_KEY_FIELDS                                                                                          \
  required(text_field("key_id", "The key, to revoke it; not its secret")),                                          \
      required(text_field("app_id", "The app that it opens")), required(text_field("name", "What people call it")), \
      required(text_field("hint", "The last characters of the secret")),                                            \
      required(list_field("scopes", nullptr, "What it may do")),                                                    \
      required(list_field("models", nullptr, "The only chat models it may use; none: all")),                        \
      required(integer_field("requests_per_minute", "0: no limit")),                                                \
      required(integer_field("tokens_per_minute", "0: no limit")), required(text_field("created_at", "RFC 3339")),  \
      required(nullable(text_field("expires_at", "RFC 3339; null: never"))),                                        \
      required(nullable(text_field("revoked_at", "RFC 3339; null: in force")))
constexpr Field kKeyFields[] = {TESSERA_KEY_FIELDS};
constexpr Schema kKeyDetail{"KeyDetail", kKeyFields};
constexpr Field kKeyListFields[] = {required(list_field("items", &kKeyDetail, "Keys")), cursor_field()};
constexpr Schema kKeyList{"KeyList", kKeyListFields};
constexpr Field kKeyCreatedFields[] = {required(text_field("key", "The secret; keep it, it is not shown again")),
                                       TESSERA_KEY_FIELDS};
constexpr Schema kKeyCreated{"KeyCreated", kKeyCreatedFields};
#undef TESSERA_KEY_FIELDS

constexpr Field kUsageRowFields[] = {
    text_field("app", "When grouped by it, as all that follow"),
    text_field("key", "Id of the API key; empty: none"),
    text_field("user", "Empty: nobody named"),
    text_field("workflow", "Empty: none"),
    text_field("provider", "Who answered"),
    text_field("model", "As the price table names it"),
    text_field("day", "UTC, 2026-11-21"),
    required(integer_field("calls", "Calls of models, failed ones too")),
    required(integer_field("prompt_tokens", "Cached ones included")),
    required(integer_field("cached_prompt_tokens", "From the provider's cache")),
    required(integer_field("cache_write_tokens", "Put into the provider's cache")),
    required(integer_field("completion_tokens", "Of answers")),
    required(number_field("cost_usd", "Exactly")),
};
constexpr Schema kUsageRow{"UsageRow", kUsageRowFields};
constexpr Field kUsageTotalFields[] = {
    required(integer_field("calls", "Of all items")),
    required(integer_field("prompt_tokens", "Of all items")),
    required(integer_field("completion_tokens", "Of all items")),
    required(number_field("cost_usd", "Of all items")),
};
constexpr Schema kUsageTotal{"UsageTotal", kUsageTotalFields};
constexpr Field kUsageReportFields[] = {
    required(list_field("items", &kUsageRow, "In the order of their groups")),
    required(object_field("total", &kUsageTotal, "Their sum")),
    required(boolean_field("truncated", "There are more rows than the limit")),
};
constexpr Schema kUsageReport{"UsageReport", kUsageReportFields};

constexpr Field kBudgetStateFields[] = {
    required(text_field("budget_id", "The budget")),
    required(text_field("scope", "app, key, user or workflow")),
    required(text_field("subject", "Whom this row is about")),
    required(boolean_field("each", "The budget holds for each subject alike; one row for each that spent")),
    required(text_field("period", "day, month or total")),
    required(boolean_field("hard", "Refuses; else warns")),
    required(number_field("limit_usd", "What may be spent in a period")),
    required(number_field("spent_usd", "In this period")),
    required(number_field("reserved_usd", "Held for calls under way")),
    required(number_field("left_usd", "Neither spent nor held")),
    required(nullable(text_field("resets_at", "When the next period begins; null: never"))),
    required(text_field("created_at", "RFC 3339")),
};
constexpr Schema kBudgetState{"BudgetState", kBudgetStateFields};
constexpr Field kBudgetListFields[] = {required(list_field("items", &kBudgetState, "In the order of their ids"))};
constexpr Schema kBudgetList{"BudgetList", kBudgetListFields};

constexpr const Schema* kAnswerSchemas[] = {
    &kIngestResponse,   &kTaskAccepted,   &kScanReport,  &kTaskFailure,    &kTaskState,        &kTaskList,
    &kDocumentHead,     &kDocumentList,   &kChunk,       &kDocumentDetail, &kDeleted,          &kErased,
    &kCollectionDetail, &kCollectionList, &kSearchHit,   &kSearchResponse, &kVectorIndexStats, &kIndexStats,
    &kSource,           &kUsage,          &kCacheNote,   &kChatResponse,   &kAskResponse,      &kSessionDetail,
    &kSessionList,      &kMessage,        &kMessageList, &kKeyDetail,      &kKeyList,          &kKeyCreated,
    &kUsageRow,         &kUsageTotal,     &kUsageReport, &kBudgetState,    &kBudgetList,
};

}  // namespace

std::span<const Schema* const> answer_schemas() {
  return kAnswerSchemas;
}

}  // namespace tessera::api
