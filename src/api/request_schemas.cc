#include "api/schema_fields.h"

namespace tessera::api {
namespace {

using namespace fields;

/// Elements of an array that may be anything.
constexpr Schema kAnything{.name = "", .fields = {}, .open = true};

// --- Requests of the native routes ---

constexpr Field kIngestRequestFields[] = {
    text_field("text", "The document itself; this or url"),
    text_field("url", "Where to fetch it (http or https); redirects and private addresses are refused", 4096),
    text_field("title", "Wins over the title found in the document", 1024),
    text_field("document_id", "Your id: the same id again is an update; made from the source, or new, when absent",
               256),
    text_field("collection", "Made with default settings when it does not exist; default \"default\"", 128),
    text_field("content_type", "text/markdown, text/html, text/plain, text/csv, application/json, ...", 256),
    text_field("source", "The path or address that it came from, shown with citations; default: the url or file name",
               4096),
    map_field("metadata", "Free names and values, for filters"),
};
constexpr Schema kIngestRequest{"IngestRequest", kIngestRequestFields};

constexpr Field kDirectoryRequestFields[] = {
    required(text_field("path", "A directory inside one of ingest.roots", 4096)),
    text_field("collection", "Where its documents go; default \"default\"", 128),
    boolean_field("watch", "Keep following changes until the task is cancelled"),
};
constexpr Schema kDirectoryRequest{"DirectoryRequest", kDirectoryRequestFields};

constexpr Field kScanRequestFields[] = {
    text_field("path", "A directory inside one of ingest.roots; default: the first of them", 4096),
    text_field("collection", "The collection that follows it; default \"default\"", 128),
};
constexpr Schema kScanRequest{"ScanRequest", kScanRequestFields};

constexpr Field kReindexRequestFields[] = {
    text_field("collection", "One collection; default: all of them", 128),
};
constexpr Schema kReindexRequest{"ReindexRequest", kReindexRequestFields};

constexpr Field kCollectionRequestFields[] = {
    required(text_field("name", "Letters, digits, '-', '_' and '.'", 128)),
    integer_field("chunk_size", "Tokens of a chunk, at most", 16, 8192),
    integer_field("chunk_overlap", "Tokens shared by neighbouring chunks", 0, 4096),
    text_field("embedding_model", "A model of this server; default: the configured one", 256),
    boolean_field("stemming", "Match English words by their stems in lexical search"),
    map_field("metadata_schema", "Kept with the collection; describes its metadata for clients"),
};
constexpr Schema kCollectionRequest{"CollectionRequest", kCollectionRequestFields};

constexpr Field kSearchRequestFields[] = {
    required(Field{.name = "query", .type = text, .help = "What to look for", .min = 1}),
    // The most are settings.
    Field{.name = "top_k", .type = integer, .help = "Most results", .min = 0},
    text_field("collection", "Default \"default\"", 128),
    choice_field("mode", "hybrid|dense|lexical", "Which engines answer"),
    choice_field("syntax", "plain|query",
                 "How the query is read: plain, all of it is words (default); query, \"a phrase\" and +word must be in "
                 "a result, -word must not, word* stands for all words that begin so"),
    number_field("recall",
                 "Hybrid and dense: the share of the true nearest vectors to be found; default: as configured", 0.5, 1),
    integer_field("ef_search", "Hybrid and dense, instead of recall: candidates of the walk through the graph", 1,
                  10000),
    map_field("filter", "Conditions on metadata: {\"field\": value}, $in, $gt, $and, $or, $not, ..."),
    number_field("min_score", "Leave out results whose score is lower; what scores mean depends on the mode"),
    choice_field("fusion", "scores|reciprocal_rank", "Hybrid: how the two rankings become one"),
    number_field("dense_weight", "Hybrid: how much likeness of meaning counts, where that of words counts 1", 0, 1000),
    number_field("rank_constant", "Hybrid by reciprocal_rank: a place counts 1 / (this + place)", 0, 1000),
    boolean_field("rerank", "Hybrid: compare the best with the query word by word and order them anew"),
    choice_field("duplicates", "keep|same|near",
                 "Results with a better one's text: given, left out, or left out even where little differs"),
    integer_field("per_document", "Most results of one document; 0: any number", 0, 1000),
    integer_field("neighbours", "Chunks under the same headings that a result takes in on each side", 0, 8),
};
constexpr Schema kSearchRequest{"SearchRequest", kSearchRequestFields};

constexpr Field kChatConfigFields[] = {
    integer_field("top_k", "Passages to retrieve", 1, 100),
    number_field("temperature", "0 to 2", 0, 2),
    integer_field("max_tokens", "Longest answer", 1, 1000000),
    Field{.name = "use_rag", .type = any, .help = "auto, true or false: look into the documents"},
    Field{.name = "use_web_search",
          .type = any,
          .help = "auto, true or false; this server has no web search yet: true is refused"},
    Field{.name = "use_memory",
          .type = any,
          .help = "auto, true or false; this server has no memory yet: true is refused"},
    integer_field("max_history_messages", "Earlier messages the model sees", 0, 1000),
    integer_field("deadline_ms", "Time for the whole answer", 1, 3600000),
};
constexpr Schema kChatConfig{"ChatConfig", kChatConfigFields};

constexpr Field kChatRequestFields[] = {
    required(text_field("message", "What the person says")),
    text_field("session_id", "Goes on with a session, or begins one under your id", 256),
    text_field("user_id", "The person", 256),
    text_field("collection", "The documents to answer from; default \"default\"", 128),
    text_field("model", "A model of GET /v1/models; default: the configured one", 256),
    boolean_field("stream", "Answer as server-sent events"),
    object_field("config", &kChatConfig, "How to answer"),
};
constexpr Schema kChatRequest{"ChatRequest", kChatRequestFields};

constexpr Field kAskRequestFields[] = {
    text_field("question", "What to ask; this or prompt"),
    text_field("prompt", "Another name for question"),
    text_field("collection", "Default \"default\"", 128),
    text_field("model", "A model of GET /v1/models", 256),
    text_field("model_name", "Another name for model", 256),
    integer_field("max_tokens", "Longest answer", 1, 1000000),
    integer_field("top_k", "Passages to retrieve", 1, 100),
    boolean_field("prefer_fast", "Answer with the built-in extractive model"),
    text_field("user_id", "The person", 256),
};
constexpr Schema kAskRequest{"AskRequest", kAskRequestFields};

constexpr Field kSessionRequestFields[] = {
    text_field("session_id", "Your id", 256),
    text_field("user_id", "The person", 256),
    text_field("title", "Shown in lists", 1024),
};
constexpr Schema kSessionRequest{"SessionRequest", kSessionRequestFields};

constexpr Field kKeyRequestFields[] = {
    text_field("name", "What people call it", 200),
    required(list_field("scopes", nullptr, "Of chat, ingest, memory, agents, admin, metrics: what it may do")),
    list_field("models", nullptr, "The only chat models it may use; default: all"),
    integer_field("requests_per_minute", "0 is no limit, the default", 0, 1e9),
    integer_field("tokens_per_minute", "Of chat models, prompt and answer; 0 is no limit, the default", 0, 1e12),
    integer_field("expires_in_seconds", "0 is never, the default", 0, 316224000),
    text_field("app_id", "The app that it opens; default: your own, and only auth.mode open may name another", 128),
};
constexpr Schema kKeyRequest{"KeyRequest", kKeyRequestFields};

constexpr Field kBudgetRequestFields[] = {
    choice_field("scope", "app|key|user|workflow", "What it limits; default: app"),
    text_field("subject", "The key's id, the user or the workflow; '*': each of them alike; none for the app", 256),
    choice_field("period", "day|month|total", "When it begins anew, in UTC; default: month"),
    required(number_field("limit_usd", "US dollars", 0, 9e6)),
    boolean_field("hard", "Refuse calls with no room left (402), the default; else only warn"),
};
constexpr Schema kBudgetRequest{"BudgetRequest", kBudgetRequestFields};

// --- Requests in OpenAI's dialect: unknown fields go to the provider untouched ---

constexpr Field kExtensionFields[] = {
    text_field("collection", "Answer from these documents", 128),
    text_field("session_id", "Keep the conversation under this id", 256),
    boolean_field("use_rag", "Look into the documents"),
    boolean_field("use_memory", "This server has no memory yet: true is refused"),
    integer_field("top_k", "Passages to retrieve", 1, 100),
};
constexpr Schema kExtension{"TesseraExtension", kExtensionFields};

constexpr Field kCompletionRequestFields[] = {
    required(list_field("messages", &kAnything, "The conversation")),
    text_field("model", "A model of GET /v1/models", 256),
    boolean_field("stream", "Answer as server-sent events"),
    map_field("stream_options", "include_usage"),
    number_field("temperature", "0 to 2", 0, 2),
    integer_field("max_tokens", "Longest answer", 1, 1000000),
    integer_field("max_completion_tokens", "Longest answer", 1, 1000000),
    text_field("user", "The person", 256),
    object_field("tessera", &kExtension, "Knowledge for this request"),
};
constexpr Schema kChatCompletionRequest{"ChatCompletionRequest", kCompletionRequestFields, true};

constexpr Field kEmbeddingRequestFields[] = {
    required(Field{.name = "input", .type = any, .help = "A text or a list of texts"}),
    text_field("model", "An embedding model of this server", 256),
    choice_field("encoding_format", "float|base64", "How vectors are written"),
    integer_field("dimensions", "Length of the vectors; the first ones are kept", 1, 8192),
    text_field("user", "The person", 256),
};
constexpr Schema kEmbeddingRequest{"EmbeddingRequest", kEmbeddingRequestFields, true};

constexpr const Schema* kRequestSchemas[] = {
    &kIngestRequest,     &kDirectoryRequest, &kScanRequest,   &kReindexRequest,
    &kCollectionRequest, &kSearchRequest,    &kChatConfig,    &kChatRequest,
    &kAskRequest,        &kSessionRequest,   &kExtension,     &kChatCompletionRequest,
    &kEmbeddingRequest,  &kKeyRequest,       &kBudgetRequest,
};

}  // namespace

std::span<const Schema* const> request_schemas() {
  return kRequestSchemas;
}

}  // namespace tessera::api
