#include "index/lexical/segmented_index.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "index/lexical/block_codec.h"
#include "index/lexical/lexical_model.h"

namespace tessera::index {
namespace {

const std::atomic<bool> kNever{false};

/// An index beside its model, changed alike.
class Pair {
 public:
  Pair(FileStore& files, SegmentedIndex::Options options)
      : files_(files), options_(options), index(std::make_unique<SegmentedIndex>(files, options)) {}

  FileStore& files_;
  SegmentedIndex::Options options_;
  std::unique_ptr<SegmentedIndex> index;
  LexicalModel model;

  Row add(const std::vector<std::string>& texts, bool activate = true) {
    std::vector<RowText> rows;
    for (const std::string& text : texts) {
      const size_t cut = text.find('|');
      rows.push_back({{std::string_view(text).substr(0, cut),
                       cut == std::string::npos ? std::string_view() : std::string_view(text).substr(cut + 1), ""}});
    }
    const Row first = index->rows();
    const PreparedRows prepared = prepare_rows(rows, false);
    index->make_room(prepared);
    index->append(prepared);
    for (const RowText& row : rows) model.append(row);
    if (activate) show(first, static_cast<Row>(rows.size()));
    return first;
  }
  void show(Row first, Row count) {
    index->activate(first, count);
    for (Row row = first; row < first + count; ++row) model.rows[row].live = true;
  }
  void remove(Row first, Row count) {
    index->remove(first, count);
    for (Row row = first; row < first + count; ++row) {
      model.rows[row].live = false;
      model.rows[row].gone = true;
    }
  }
  /// One step of background work; false when there is none.
  bool work() {
    auto job = index->plan();
    if (!job) return false;
    EXPECT_TRUE(job->run(kNever));
    index->install(std::move(job));
    return true;
  }
  void save_and_load() {
    ByteWriter record;
    std::vector<FileEntry> entries;
    ASSERT_TRUE(index->save(record, entries));
    if (files_.on_disk()) {
      ASSERT_TRUE(files_.commit(record.bytes(), entries));
    }
    ByteReader reader(record.bytes());
    auto loaded = SegmentedIndex::load(files_, reader, options_);
    ASSERT_TRUE(loaded) << loaded.error().detail;
    ASSERT_TRUE(reader.at_end());
    index = std::move(*loaded);
  }
  void compact() {
    RowMap map(model.rows.size(), kGoneRow);
    LexicalModel fresh;
    for (Row row = 0; row < map.size(); ++row) {
      if (!model.rows[row].live) continue;
      map[row] = static_cast<Row>(fresh.rows.size());
      fresh.rows.push_back(model.rows[row]);
    }
    auto compact = index->compacted(map);
    ASSERT_TRUE(compact);
    index = std::move(*compact);
    model = std::move(fresh);
    ASSERT_EQ(index->rows(), model.rows.size());
  }

  template <class Allowed>
  void check(const LexicalQuery& query, size_t k, bool filtered, Allowed&& allowed) {
    std::vector<uint64_t> bits((model.rows.size() + 63) / 64);
    uint64_t count = 0;
    for (Row row = 0; row < model.rows.size(); ++row) {
      if (!model.rows[row].live || !allowed(row)) continue;
      bits[row / 64] |= uint64_t{1} << (row % 64);
      ++count;
    }
    const RowSelection selection{bits, count, filtered, nullptr};
    const auto pruned = index->search(query, k, selection, Pruning::on);
    const auto plain = index->search(query, k, selection, Pruning::off);
    ASSERT_EQ(pruned, plain);
    const auto all = model.search(query, allowed);
    ASSERT_EQ(pruned.size(), std::min(k, all.size()));
    std::map<Row, double> scores(all.begin(), all.end());
    for (size_t i = 0; i < pruned.size(); ++i) {
      ASSERT_TRUE(scores.contains(pruned[i].row));
      ASSERT_NEAR(pruned[i].score, scores[pruned[i].row], 1e-4 * std::max(1.0, scores[pruned[i].row]));
      ASSERT_NEAR(pruned[i].score, all[i].second, 1e-4 * std::max(1.0, all[i].second));
    }
  }
  void check(const LexicalQuery& query, size_t k) {
    check(query, k, false, [](Row) { return true; });
  }
  void check_random(LexicalWorld& world, int rounds) {
    for (int i = 0; i < rounds; ++i) {
      const LexicalQuery query = world.below(2) == 0 ? plain_query(world.words(1 + world.below(20)), false)
                                                     : parse_query(world.query(), false);
      const size_t k = 1 + world.below(30);
      const uint64_t share = world.below(4);
      const uint64_t modulus = share == 0 ? 1 : share == 1 ? 10 : 1 + world.below(2000);
      const uint64_t salt = world.random();
      check(query, k, modulus > 1, [&](Row row) { return (row * 0x9E3779B97F4A7C15 ^ salt) % modulus == 0; });
      if (testing::Test::HasFatalFailure()) return;
    }
    for (int i = 0; i < 20; ++i) {
      const std::string term = world.word();
      ASSERT_EQ(index->rows_with(term), model.rows_with(term)) << term;
    }
  }
};

std::vector<std::string> texts(LexicalWorld& world, size_t count, size_t words) {
  std::vector<std::string> out;
  for (size_t i = 0; i < count; ++i) {
    out.push_back(world.words(world.below(words)));
    if (world.below(3) == 0) out.back() += "|" + world.words(1 + world.below(4));
  }
  return out;
}

TEST(SegmentedIndex, AnswersLikeTheModelWhileEverythingChanges) {
  for (const uint64_t seed : {1, 2, 3, 4}) {
    FileStore files{std::filesystem::path()};
    LexicalWorld world(seed, seed % 2 == 0 ? 40 : 3000);
    Pair pair(files, {.freeze_rows = 100 + world.below(400), .segment_rows_max = 3000 + world.below(3000)});
    std::vector<std::pair<Row, Row>> documents;
    for (int step = 0; step < 250; ++step) {
      const uint64_t kind = world.below(40);
      if (kind < 24) {
        const auto more = texts(world, 1 + world.below(40), 40);
        documents.emplace_back(pair.add(more), static_cast<Row>(more.size()));
      } else if (kind < 31 && !documents.empty()) {
        const size_t victim = world.below(documents.size());
        pair.remove(documents[victim].first, documents[victim].second);
        documents.erase(documents.begin() + static_cast<ptrdiff_t>(victim));
      } else if (kind < 36) {
        pair.work();
      } else if (kind == 36) {
        pair.save_and_load();
      } else if (kind == 37 && world.below(4) == 0) {
        pair.compact();
        Row first = 0;
        for (auto& document : documents) {
          document.first = first;
          first += document.second;
        }
      } else if (kind == 38) {
        ByteWriter record;
        std::vector<FileEntry> entries;
        ASSERT_TRUE(pair.index->save(record, entries));
        pair.index->release_saved();
      }
      if (step % 10 == 0) {
        pair.check_random(world, 6);
        if (HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
      }
    }
    while (pair.work()) {
    }
    pair.check_random(world, 40);
    if (HasFatalFailure()) FAIL() << "seed " << seed;
  }
}

TEST(SegmentedIndex, LargeSegmentsPruneWithoutChangingABit) {
  FileStore files{std::filesystem::path()};
  LexicalWorld world(77, 20000);
  Pair pair(files, {.freeze_rows = 6000});
  for (int i = 0; i < 100; ++i) pair.add(texts(world, 128, 40));
  for (int i = 0; i < 500; ++i) {
    const auto row = static_cast<Row>(world.below(pair.model.rows.size()));
    if (!pair.model.rows[row].gone) pair.remove(row, 1);
  }
  pair.check_random(world, 12);
  while (pair.work()) {
  }
  pair.check_random(world, 12);
  EXPECT_LE(pair.index->segments(), 4U);
}

TEST(BlockCodec, GivesBackWhatWasPackedAtEveryWidth) {
  for (unsigned bits = 0; bits <= 31; ++bits) {
    std::mt19937_64 random(bits);
    std::vector<uint32_t> rows;
    std::vector<uint32_t> tfs;
    const uint32_t before = bits % 2 == 0 ? 0xFFFFFFFF : 9;
    uint32_t row = before + 1;
    for (size_t i = 0; i < kListBlock; ++i) {
      row += static_cast<uint32_t>(random() % (uint64_t{1} << std::min(bits, 16U)));
      rows.push_back(row++);
      tfs.push_back(static_cast<uint32_t>(1 + random() % (uint64_t{1} << bits)));
    }
    std::vector<uint32_t> words;
    const BlockWidths widths = pack_block(rows.data(), tfs.data(), before, words);
    ASSERT_EQ(words.size() * 4, packed_bytes(widths.gap_bits, widths.tf_bits));
    DecodedBlock block;
    const auto* const data = reinterpret_cast<const uint8_t*>(words.data());
    unpack_rows(data, widths.gap_bits, before, block.rows.data());
    unpack_tfs(data, widths, block.tfs.data());
    std::vector<uint8_t> bytes;
    append_short_block(rows.data(), tfs.data(), 127, before, bytes);
    DecodedBlock shorter;
    const std::string_view view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    ASSERT_TRUE(read_short_block(view, 127, before, row, shorter));
    DecodedBlock failed;
    EXPECT_FALSE(read_short_block(view, 127, before, rows[126], failed));
    EXPECT_FALSE(read_short_block(view.substr(0, view.size() - 1), 127, before, row, failed));
    for (size_t i = 0; i < kListBlock; ++i) {
      ASSERT_EQ(block.rows[i], rows[i]) << bits;
      ASSERT_EQ(block.tfs[i], tfs[i]) << bits;
    }
    for (size_t i = 0; i < 127; ++i) ASSERT_EQ(shorter.tfs[i], tfs[i]) << bits;
  }
}

/// Around the sixteen bytes that a term's key holds, and with the same beginnings.
TEST(SegmentedIndex, TermsOfAnyLengthAreTold) {
  FileStore files{std::filesystem::path()};
  Pair pair(files, {.freeze_rows = 40});
  std::vector<std::string> terms;
  for (size_t size = 1; size <= 40; ++size) {
    for (const char last : {'a', 'b'}) terms.push_back(std::string(size - 1, 'x') + last);
  }
  for (size_t i = 0; i < terms.size(); ++i) {
    pair.add({terms[i] + " " + terms[(i * 7 + 3) % terms.size()] + "|" + terms[i] + " " + terms[terms.size() - 1 - i]});
  }
  for (int round = 0; round < 2; ++round) {
    for (const std::string& term : terms) {
      EXPECT_EQ(pair.index->rows_with(term), pair.model.rows_with(term)) << term;
      pair.check(plain_query(term, false), 10);
    }
    while (pair.work()) {
    }
  }
}

/// A block of a list that is full when a word comes again in its last row: the bound has to follow.
TEST(SegmentedIndex, RepetitionsCountWhereABlockIsFull) {
  FileStore files{std::filesystem::path()};
  Pair pair(files, {});
  for (size_t row = 0; row < 4 * kListBlock; ++row) {
    std::string text = "echo of " + std::to_string(row);
    for (size_t times = row % kListBlock == kListBlock - 1 ? 3 + row / 50 : row % 3; times > 0; --times)
      text += " echo";
    pair.add({text});
  }
  pair.check(plain_query("echo", false), 5);
  pair.check(plain_query("echo of 127", false), 5);
}

TEST(SegmentedIndex, RowsAppearWithTheirActivationOnly) {
  FileStore files{std::filesystem::path()};
  Pair pair(files, {.freeze_rows = 3});
  pair.add({"apple pie", "apple tart"});
  const Row late = pair.add({"apple cake", "apple", "apple", "apple"}, false);
  EXPECT_EQ(pair.index->rows_with("apple"), 2U);
  pair.add({"apple juice"});
  pair.check(plain_query("apple cake", false), 10);
  while (pair.work()) {
  }
  pair.show(late, 2);
  pair.remove(late + 2, 2);  // never shown
  pair.check(plain_query("apple cake", false), 10);
  while (pair.work()) {
  }
  EXPECT_EQ(pair.index->rows_with("apple"), 5U);
  EXPECT_EQ(pair.index->live_rows(), 5U);
  pair.check(plain_query("apple cake", false), 10);
}

TEST(SegmentedIndex, AWordManyTimesInARowCountsExactly) {
  FileStore files{std::filesystem::path()};
  Pair pair(files, {.freeze_rows = 3});
  std::string many;
  for (int i = 0; i < 70000; ++i) many += "echo ";
  pair.add({many, "echo once", "nothing", many + "and more"});
  pair.check(plain_query("echo and", false), 10);
  pair.save_and_load();
  pair.check(plain_query("echo and", false), 10);
}

TEST(SegmentedIndex, RowsRemovedDuringAJobStayRemoved) {
  FileStore files{std::filesystem::path()};
  LexicalWorld world(9);
  Pair pair(files, {.freeze_rows = 64});
  for (int i = 0; i < 12; ++i) pair.add(texts(world, 32, 20));
  auto job = pair.index->plan();
  ASSERT_TRUE(job);
  pair.remove(3, 2);
  ASSERT_TRUE(job->run(kNever));
  pair.remove(7, 20);
  pair.index->install(std::move(job));
  pair.check_random(world, 30);
  const std::atomic<bool> stop{true};
  while ((job = pair.index->plan())) {
    const size_t before = pair.index->segments();
    ASSERT_TRUE(job->run(stop));
    pair.index->install(std::move(job));
    ASSERT_EQ(pair.index->segments(), before);  // stopped: nothing happened
    ASSERT_TRUE(pair.work());
  }
}

TEST(SegmentedIndex, SegmentsInMemoryWaitToBeWrittenTogether) {
  FileStore files{std::filesystem::path()};
  LexicalWorld world(21);
  Pair pair(files, {.freeze_rows = 16});
  const auto work_due = [&] {
    while (auto job = pair.index->plan(LexicalWork::due)) {
      ASSERT_TRUE(job->run(kNever));
      pair.index->install(std::move(job));
    }
  };
  for (size_t frozen = 1; frozen <= 4; ++frozen) {
    pair.add(texts(world, 16, 20));
    pair.add(texts(world, 1, 20));  // begins the next one
    work_due();
    EXPECT_EQ(pair.index->segments(), frozen < 4 ? frozen + 1 : 2U);
    EXPECT_EQ(pair.index->file_bytes() > 0, frozen == 4);
  }
  for (int i = 0; i < 3; ++i) pair.add(texts(world, 17, 20));
  work_due();
  EXPECT_EQ(pair.index->segments(), 4U);
  ASSERT_TRUE(pair.work());
  EXPECT_EQ(pair.index->segments(), 3U);
  pair.check_random(world, 20);
}

TEST(SegmentedIndex, IsBehindUntilWhatWaitsIsWritten) {
  FileStore files{std::filesystem::path()};
  Pair pair(files, {.freeze_rows = 2});
  for (int row = 0; row < 16; ++row) {
    pair.add({"word"});
    EXPECT_FALSE(pair.index->behind());
  }
  for (int row = 0; row < 3; ++row) pair.add({"word"});
  EXPECT_TRUE(pair.index->behind());
  ASSERT_TRUE(pair.work());
  EXPECT_FALSE(pair.index->behind());
}

TEST(SegmentedIndex, DamagedFilesAreNamedOrHarmless) {
  FileStore files{std::filesystem::path()};
  LexicalWorld world(4, 300);
  Pair pair(files, {.freeze_rows = 1000});
  pair.add(texts(world, 600, 30));
  ByteWriter record;
  std::vector<FileEntry> entries;
  ASSERT_TRUE(pair.index->save(record, entries));
  const std::string sound(files.open(entries[0], Verify::now).value()->bytes());
  const std::vector<uint64_t> bits(10, ~uint64_t{0});
  size_t opened = 0;
  for (int round = 0; round < 400; ++round) {
    std::string bytes = sound;
    if (round % 10 == 0) bytes.resize(world.below(bytes.size()));
    for (size_t flips = 1 + world.below(6); flips > 0 && !bytes.empty(); --flips) {
      bytes[world.below(bytes.size())] = static_cast<char>(world.below(256));
    }
    const auto writer = files.create("lexical");
    writer->put_array(std::span<const char>(bytes));
    const auto file = writer->finish().value();
    ByteWriter other;
    other.put(uint32_t{1});
    other.put(uint32_t{1});
    other.put_entry(file->entry());
    other.put(uint32_t{600});
    other.put(uint64_t{1000});
    other.put(uint8_t{0});
    ByteReader reader(other.bytes());
    const auto index = SegmentedIndex::load(files, reader);
    if (!index) {
      EXPECT_EQ(index.error().name, "SNAPSHOT_DAMAGED");
      continue;
    }
    ++opened;
    for (int i = 0; i < 5; ++i) {
      const LexicalQuery query = parse_query(world.query(), false);
      for (const RowHit& hit : (*index)->search(query, 10, {bits, 600, i % 2 == 0, nullptr})) ASSERT_LT(hit.row, 640U);
    }
    (*index)->remove(0, 20);
    RowMap map(600);
    for (Row row = 0; row < 600; ++row) map[row] = row < 20 ? kGoneRow : row - 20;
    static_cast<void>((*index)->compacted(map));
  }
  EXPECT_GT(opened, 200U);
}

TEST(SegmentedIndex, RecordsThatMakeNoSenseAreRefused) {
  FileStore files{std::filesystem::path()};
  Pair pair(files, {});
  pair.add({"some words", "more words"});
  pair.remove(0, 1);
  ByteWriter record;
  std::vector<FileEntry> entries;
  ASSERT_TRUE(pair.index->save(record, entries));
  for (size_t size = 0; size < record.bytes().size(); ++size) {
    ByteReader reader(record.bytes().substr(0, size));
    EXPECT_FALSE(SegmentedIndex::load(files, reader)) << size;
  }
}

}  // namespace
}  // namespace tessera::index
