#include "rag/ingest.h"

#include <gtest/gtest.h>

#include "async/run_blocking.h"
#include "base/random.h"
#include "rag/testing/world.h"

namespace tessera::rag {
namespace {

using async::sync_wait;

TEST(Ingest, IsSearchableAndStoredWhenItReturns) {
  testing::RagWorld world;
  IngestRequest request;
  request.bytes = "The heron stands in the reeds. It waits for fish.";
  request.name = "birds/heron.md";
  request.metadata["lang"] = std::string("de");
  const auto receipt = world.take_in(request);
  ASSERT_TRUE(receipt) << receipt.error().name;
  EXPECT_EQ(receipt->status(), "indexed");
  EXPECT_EQ(receipt->version, 1);
  const auto view = sync_wait(world.library.load(world.context, receipt->document_id));
  ASSERT_TRUE(view);
  EXPECT_EQ(view->document.text, request.bytes);
  EXPECT_EQ(view->document.head.title, "heron");
  EXPECT_EQ(std::get<std::string>(view->document.head.metadata.at("lang")), "de");  // the client's wins
  EXPECT_TRUE(view->document.head.metadata.contains("parsed"));
  const auto found = world.search("heron reeds");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->passages.size(), 1U);
  EXPECT_EQ(found->passages[0].document_id, receipt->document_id);
}

TEST(Ingest, SkipsTheSameContentBeforeParsing) {
  testing::RagWorld world;
  IngestRequest request;
  request.bytes = "Same text";
  request.name = "a.md";
  ASSERT_TRUE(world.take_in(request));
  const int parsed = world.parser.calls;
  const auto again = world.take_in(request);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->status(), "unchanged");
  EXPECT_EQ(again->version, 1);
  EXPECT_EQ(world.parser.calls, parsed);
  request.metadata["tag"] = std::string("x");
  const auto changed = world.take_in(request);
  EXPECT_EQ(changed->status(), "indexed");
  EXPECT_EQ(changed->version, 2);
}

TEST(Ingest, EachOfABatchSucceedsOrFailsForItself) {
  testing::RagWorld world;
  IngestRequest known;
  known.bytes = "known text";
  known.name = "known.md";
  ASSERT_TRUE(world.take_in(known));
  IngestRequest elsewhere;
  elsewhere.bytes = "elsewhere";
  elsewhere.document_id = "taken";
  elsewhere.collection = "other";
  ASSERT_TRUE(world.take_in(elsewhere));

  std::vector<IngestRequest> batch(8);
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].bytes = "heron number " + std::to_string(i);
    batch[i].name = std::to_string(i) + ".md";
  }
  batch[1].bytes = "%BROKEN";
  batch[2] = known;
  batch[3].document_id = "no spaces";
  batch[4].document_id = "taken";
  batch[5].bytes = " ";
  batch[6].collection = "third";
  batch[7] = batch[0];  // the same document twice
  const auto answers = sync_wait(world.ingest.ingest_batch(world.context, batch));
  std::vector<std::string> told;
  for (const auto& answer : answers) told.emplace_back(answer ? answer->status() : answer.error().name);
  EXPECT_EQ(told, (std::vector<std::string>{"indexed", "UNREADABLE_DOCUMENT", "unchanged", "INVALID_DOCUMENT_ID",
                                            "DOCUMENT_IN_OTHER_COLLECTION", "EMPTY_DOCUMENT", "indexed", "unchanged"}));
  EXPECT_EQ(answers[7]->document_id, answers[0]->document_id);
  EXPECT_EQ(world.search("heron", 10)->passages.size(), 1U);
  core::CollectionName third{world.context.tenant, "third"};
  EXPECT_EQ(sync_wait(world.stores.documents().find_collection(third))->documents, 1);
  EXPECT_TRUE(sync_wait(world.ingest.ingest_batch(world.context, {})).empty());
}

TEST(Ingest, AFailedCallOfTheEmbedderFailsOnlyWhatWasInIt) {
  testing::RagWorld world;
  IngestOptions options;
  options.embed_batch = 2;
  IngestService ingest(world.ingest_parts(), options);
  int calls = 0;
  world.embedder.on_embed = [&](const core::RequestContext&) { world.embedder.fail = ++calls == 1; };
  std::vector<IngestRequest> batch(6);
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].bytes = "heron number " + std::to_string(i);
    batch[i].name = std::to_string(i) + ".md";
  }
  const auto answers = sync_wait(ingest.ingest_batch(world.context, batch));  // the first of three calls succeeds
  world.embedder.fail = false;
  std::vector<bool> fine;
  for (const auto& answer : answers) fine.push_back(answer.has_value());
  EXPECT_EQ(fine, (std::vector<bool>{true, true, false, false, false, false}));
  EXPECT_EQ(answers[2].error().name, "EMBEDDER_DOWN");
  // The vectors are those of their own texts.
  const auto again = sync_wait(ingest.ingest_batch(world.context, batch));
  EXPECT_EQ(again[5]->status(), "indexed");
  EXPECT_EQ(world.search("heron number 5", 1, core::SearchMode::dense)->passages.at(0).document_id,
            again[5]->document_id);
}

TEST(Ingest, AMissingCollectionIsMadeWithTheConfiguredDefaultsByADocumentThatSucceeds) {
  testing::RagWorld world;
  IngestOptions options;
  options.collection_defaults.chunk_size = 64;
  options.collection_defaults.chunk_overlap = 5;
  observe::Counter unchanged;
  IngestParts parts = world.ingest_parts();
  parts.unchanged = &unchanged;
  IngestService ingest(parts, options);
  IngestRequest empty;
  empty.document_id = "empty";
  EXPECT_FALSE(sync_wait(ingest.ingest(world.context, empty)));
  core::CollectionName name{world.context.tenant, "default"};
  EXPECT_FALSE(sync_wait(world.stores.documents().find_collection(name)));

  IngestRequest request;
  request.document_id = "long";
  for (int i = 0; i < 200; ++i) request.bytes += "The heron number " + std::to_string(i) + " stands in the reeds. ";
  const auto receipt = sync_wait(ingest.ingest(world.context, request));
  ASSERT_TRUE(receipt) << receipt.error().name;
  EXPECT_GT(receipt->chunks, 10);
  const auto made = sync_wait(world.stores.documents().find_collection(name));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->settings, options.collection_defaults);

  // Its hash rests on those settings, so the same again is known.
  const auto again = sync_wait(ingest.ingest(world.context, request));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->status(), "unchanged");
  EXPECT_EQ(unchanged.value(), 1U);
}

TEST(Ingest, IdsAreStableForFilesAndNewForTexts) {
  testing::RagWorld world;
  IngestRequest file;
  file.name = "a.md";
  EXPECT_EQ(world.ingest.default_id(file), world.ingest.default_id(file));
  IngestRequest elsewhere = file;
  elsewhere.collection = "other";
  EXPECT_NE(world.ingest.default_id(file), world.ingest.default_id(elsewhere));
  const IngestRequest text;
  EXPECT_NE(world.ingest.default_id(text), world.ingest.default_id(text));
}

TEST(Ingest, RefusesWhatIsBeyondItsLimits) {
  testing::RagWorld world;
  IngestOptions options;
  options.document_bytes_max = 100;
  options.chunks_max = 2;
  IngestService small(world.ingest_parts(), options);
  const auto code = [&](IngestRequest request) {
    const auto receipt = sync_wait(small.ingest(world.context, std::move(request)));
    return receipt ? std::string("none") : receipt.error().name;
  };
  IngestRequest request;
  request.bytes = std::string(101, 'x');
  EXPECT_EQ(code(request), "DOCUMENT_TOO_LARGE");
  request.bytes = "text";
  request.document_id = "no spaces";
  EXPECT_EQ(code(request), "INVALID_DOCUMENT_ID");
  request.document_id.clear();
  request.collection = "../x";
  EXPECT_EQ(code(request), "INVALID_COLLECTION");
  request.collection = "default";
  for (size_t i = 0; i <= core::kMetadataFieldsMax; ++i) request.metadata[std::to_string(i)] = true;
  EXPECT_EQ(code(request), "TOO_MANY_METADATA_FIELDS");
  request.metadata.clear();
  request.bytes = " \n ";
  EXPECT_EQ(code(request), "EMPTY_DOCUMENT");
  request.bytes = "%BROKEN";
  EXPECT_EQ(code(request), "UNREADABLE_DOCUMENT");
  core::CollectionSettings settings;
  settings.chunk_size = 16;
  settings.chunk_overlap = 0;
  ASSERT_TRUE(sync_wait(world.library.create_collection(world.context, "tiny", settings)));
  request.collection = "tiny";
  request.bytes.clear();
  for (int i = 0; i < 48; ++i) request.bytes += "a ";
  EXPECT_EQ(code(request), "TOO_MANY_CHUNKS");
  EXPECT_TRUE(world.index.versions().empty());
}

TEST(Ingest, AnIdOfAnotherCollectionIsAConflict) {
  testing::RagWorld world;
  IngestRequest request;
  request.bytes = "text";
  request.document_id = "a";
  ASSERT_TRUE(world.take_in(request));
  request.collection = "other";
  EXPECT_EQ(world.take_in(request).error().name, "DOCUMENT_IN_OTHER_COLLECTION");
}

TEST(Ingest, AFailingEmbedderLeavesNothing) {
  testing::RagWorld world;
  world.embedder.fail = true;
  IngestRequest request;
  request.bytes = "text";
  request.document_id = "a";
  EXPECT_EQ(world.take_in(request).error().name, "EMBEDDER_DOWN");
  EXPECT_EQ(sync_wait(world.library.find(world.context, "a")).error().code, base::Code::not_found);
}

TEST(Ingest, CancelledWorkStopsBetweenBatches) {
  testing::RagWorld world;
  async::CancelSource source;
  world.context.cancel = source.token();
  world.embedder.on_embed = [&](const core::RequestContext&) { source.cancel(); };
  IngestRequest request;
  request.document_id = "a";
  core::CollectionSettings settings;
  settings.chunk_size = 16;
  settings.chunk_overlap = 0;
  ASSERT_TRUE(sync_wait(world.library.create_collection(world.context, "tiny", settings)));
  request.collection = "tiny";
  for (int i = 0; i < 2000; ++i) request.bytes += "word ";
  const auto receipt = sync_wait(world.ingest.ingest(world.context, request));
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, base::Code::cancelled);
  EXPECT_EQ(world.embedder.calls, 1);
}

// As an older pipeline would have stored it.
void make_stale(testing::RagWorld& world, const std::string& id) {
  core::DocumentWrite write;
  write.collection = {world.context.tenant, "default"};
  write.document = *sync_wait(world.stores.documents().load_document(world.context.tenant, id));
  write.chunks = *sync_wait(world.stores.documents().load_chunks(world.context.tenant, id));
  write.document.head.content_hash = write.document.head.content_hash.substr(0, 32) + "-0000000000000000";
  write.dimensions = 16;
  write.vectors.assign(16, 0.25F);
  ASSERT_TRUE(sync_wait(world.stores.documents().put_document(std::move(write))));
}

TEST(Ingest, RefreshEmbedsAnewOnlyWhatIsStale) {
  testing::RagWorld world;
  IngestRequest request;
  request.bytes = "Some text to embed";
  request.document_id = "a";
  ASSERT_TRUE(world.take_in(request));
  auto head = *sync_wait(world.library.find(world.context, "a"));
  EXPECT_EQ(*sync_wait(world.ingest.refresh(world.context, head)), false);
  make_stale(world, "a");
  head = *sync_wait(world.library.find(world.context, "a"));
  EXPECT_EQ(*sync_wait(world.ingest.refresh(world.context, head)), true);
  EXPECT_EQ(world.take_in(request)->status(), "unchanged");
}

/// Beside the others they could not be searched; refused before anything is committed.
TEST(Ingest, RefusesVectorsOfAnotherLengthThanTheCollections) {
  testing::RagWorld world;
  IngestRequest request;
  request.bytes = "Some text to embed";
  request.document_id = "a";
  ASSERT_TRUE(world.take_in(request));
  world.embedder.size = 12;
  const int embedded = world.embedder.calls;
  request.document_id = "b";
  const auto refused = world.take_in(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "DIMENSION_MISMATCH");
  EXPECT_EQ(refused.error().code, base::Code::conflict);
  for (const char* part : {"12", "16", "'default'", "/api/reindex"}) {
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(world.embedder.calls, embedded);
  EXPECT_FALSE(sync_wait(world.library.find(world.context, "b")));
  request.collection = "fresh";
  EXPECT_TRUE(world.take_in(request));  // another collection is none of this one's business

  const auto collections = sync_wait(world.library.list_collections(world.context));
  const auto stale = world.library.stale(*collections);
  ASSERT_EQ(stale.size(), 1U);
  EXPECT_EQ(stale[0].collection, "default");
  EXPECT_EQ(stale[0].dimensions, 16U);
  EXPECT_EQ(stale[0].model_dimensions, 12U);

  const auto head = *sync_wait(world.library.find(world.context, "a"));
  EXPECT_EQ(*sync_wait(world.ingest.refresh(world.context, head)), true);
  request.collection = "default";
  request.document_id = "c";
  EXPECT_TRUE(world.take_in(request));
  EXPECT_TRUE(world.library.stale(*collections).empty());
}

/// Else the first document would be kept as one of a model without dimensions, and embedded again later.
TEST(Ingest, LearnsTheDimensionsBeforeItKeepsThem) {
  testing::RagWorld world;
  world.embedder.learned = false;
  IngestRequest request;
  request.bytes = "Some text to embed";
  request.document_id = "a";
  ASSERT_TRUE(world.take_in(request));
  EXPECT_EQ(world.take_in(request)->status(), "unchanged");
  world.embedder.learned = false;
  const auto head = *sync_wait(world.library.find(world.context, "a"));
  EXPECT_EQ(*sync_wait(world.ingest.refresh(world.context, head)), false);
}

TEST(Ingest, RefreshDoesNotBringBackAReplacedText) {
  testing::RagWorld world;
  IngestRequest request;
  request.bytes = "Old text";
  request.document_id = "a";
  ASSERT_TRUE(world.take_in(request));
  make_stale(world, "a");
  const auto head = *sync_wait(world.library.find(world.context, "a"));
  bool once = true;
  world.embedder.on_embed = [&](const core::RequestContext&) {
    if (!std::exchange(once, false)) return;
    request.bytes = "New text";
    ASSERT_TRUE(world.take_in(request));
  };
  EXPECT_EQ(sync_wait(world.ingest.refresh(world.context, head)).error().name, "DOCUMENT_CHANGED");
  EXPECT_EQ(sync_wait(world.library.load(world.context, "a"))->document.text, "New text");
}

TEST(Library, RemovedIsNotFoundAnyMore) {
  testing::RagWorld world;
  IngestRequest request;
  request.bytes = "heron";
  request.document_id = "a";
  ASSERT_TRUE(world.take_in(request));
  ASSERT_TRUE(sync_wait(world.library.remove(world.context, "a")));
  EXPECT_TRUE(world.search("heron")->passages.empty());
  EXPECT_EQ(sync_wait(world.library.remove(world.context, "a")).error().code, base::Code::not_found);
  EXPECT_EQ(sync_wait(world.library.list(world.context, "nowhere", {})).error().name, "COLLECTION_NOT_FOUND");
}

TEST(Library, ChecksSettings) {
  testing::RagWorld world;
  core::CollectionSettings settings;
  settings.chunk_size = 32;
  for (const int64_t overlap : {-1, 16, 31, 32}) {
    settings.chunk_overlap = overlap;
    EXPECT_EQ(sync_wait(world.library.create_collection(world.context, "c", settings)).error().param, "chunk_overlap");
  }
  settings.chunk_overlap = 15;
  settings.embedding_model = "nope";
  const auto unknown = sync_wait(world.library.create_collection(world.context, "c", settings));
  EXPECT_EQ(unknown.error().name, "INVALID_EMBEDDING_MODEL");
  EXPECT_EQ(unknown.error().code, base::Code::invalid);
  EXPECT_NE(unknown.error().message.find("tessera/static-256"), std::string::npos);
  settings.embedding_model = "tessera/static-256";
  ASSERT_TRUE(sync_wait(world.library.create_collection(world.context, "half", settings)));
  ASSERT_TRUE(sync_wait(world.library.drop_collection(world.context, "half")));
  settings.chunk_size = 4;
  EXPECT_EQ(sync_wait(world.library.create_collection(world.context, "c", settings)).error().param, "chunk_size");
  EXPECT_EQ(sync_wait(world.library.create_collection(world.context, ".c", {})).error().name, "INVALID_COLLECTION");
  ASSERT_TRUE(sync_wait(world.library.create_collection(world.context, "c", {})));
  EXPECT_EQ(sync_wait(world.library.stats(world.context, ""))->collections, 1);
  ASSERT_TRUE(sync_wait(world.library.drop_collection(world.context, "c")));
}

}  // namespace
}  // namespace tessera::rag
