#include "index/embedding/static_embedder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

#include "index/embedding/accumulate.h"
#include "index/embedding/embedded_model.h"

namespace tessera::index {
namespace {

StaticEmbedder embedder() {
  return StaticEmbedder::embedded().value();
}

std::vector<float> vector_of(std::string_view text) {
  std::vector<float> out(embedder().dimensions());
  embedder().embed_one(text, out);
  return out;
}

float cosine(std::string_view a, std::string_view b) {
  const auto x = vector_of(a), y = vector_of(b);
  float sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

TEST(StaticModel, TheEmbeddedOneIsWhole) {
  const auto model = StaticModel::open(embedded_static_model());
  ASSERT_TRUE(model);
  EXPECT_TRUE(model->verify());
  EXPECT_EQ(model->name(), "tessera/static-256");
  EXPECT_EQ(model->dimensions(), 256U);
  EXPECT_EQ(model->vocabulary(), 30522U);
}

/// A copy of the model that a test may damage.
struct Copy {
  explicit Copy(std::string_view bytes) : size(bytes.size()) {
    data.reset(static_cast<char*>(std::aligned_alloc(64, (size + 63) / 64 * 64)));
    std::memcpy(data.get(), bytes.data(), size);
  }
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::unique_ptr<char, Free> data;
  size_t size;
  [[nodiscard]] std::string_view view(size_t length) const { return {data.get(), length}; }
};

TEST(StaticModel, RefusesWhatItIsNotAndWhatIsDamaged) {
  const Copy copy(embedded_static_model());
  EXPECT_EQ(StaticModel::open(copy.view(100)).error().name, "EMBEDDING_MODEL_DAMAGED");
  EXPECT_EQ(StaticModel::open(copy.view(copy.size - 1)).error().name, "EMBEDDING_MODEL_DAMAGED");
  copy.data.get()[copy.size - 1] ^= 1;
  EXPECT_EQ(StaticModel::open(copy.view(copy.size))->verify().error().name, "EMBEDDING_MODEL_DAMAGED");
  copy.data.get()[8] = 2;
  EXPECT_EQ(StaticModel::open(copy.view(copy.size)).error().name, "EMBEDDING_MODEL_VERSION");
  copy.data.get()[0] = 'X';
  EXPECT_EQ(StaticModel::open(copy.view(copy.size)).error().name, "NOT_AN_EMBEDDING_MODEL");
}

TEST(StaticModel, NoDamageToTheHeaderLeadsOutsideTheFile) {
  const std::string_view whole = embedded_static_model();
  const Copy copy(whole);
  for (size_t byte = 0; byte < 128; ++byte) {
    for (const int value : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
      copy.data.get()[byte] = static_cast<char>(value);
      const auto model = StaticModel::open(copy.view(copy.size));
      if (model) {
        EXPECT_LE(model->rows().data() + model->rows().size(),
                  reinterpret_cast<const int8_t*>(copy.data.get() + copy.size));
        EXPECT_EQ(model->scales().size() * model->dimensions(), model->rows().size());
      }
    }
    copy.data.get()[byte] = whole[byte];
  }
}

/// Ids as the reference tokenizer gives them; made by tools/distill/golden.py.
TEST(WordPiece, AgreesWithTheReference) {
  const auto model = StaticModel::open(embedded_static_model()).value();
  std::ifstream file(TESSERA_SOURCE_DIR "/src/text/testdata/wordpiece_golden.tsv");
  size_t cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    const size_t tab = line.find('\t');
    std::string text;
    for (size_t i = 0; i < tab; i += 2) text += static_cast<char>(std::stoi(line.substr(i, 2), nullptr, 16));
    std::vector<int> expected;
    std::istringstream ids(line.substr(tab + 1));
    for (int id; ids >> id;) expected.push_back(id);

    std::vector<int> actual;
    std::array<uint16_t, text::WordPiece::kOutMin> out;
    for (std::string_view rest = text; !rest.empty();) {
      const auto progress = model.tokenizer().encode(rest, out);
      ASSERT_GT(progress.bytes, 0U) << line;
      actual.insert(actual.end(), out.begin(), out.begin() + static_cast<ptrdiff_t>(progress.ids));
      rest.remove_prefix(progress.bytes);
    }
    EXPECT_EQ(actual, expected) << line;
    EXPECT_EQ(model.tokenizer().count(text), expected.size()) << line;
  }
  EXPECT_GT(cases, 600U);
}

TEST(StaticEmbedder, VectorsHaveLengthOneOrZero) {
  EXPECT_NEAR(cosine("a cat sat on the mat", "a cat sat on the mat"), 1.0F, 1e-5F);
  EXPECT_EQ(cosine("", ""), 0.0F);
  EXPECT_EQ(cosine(" \n\t ", "word"), 0.0F);
}

TEST(StaticEmbedder, UnknownWordsCountButHaveNoVector) {
  const std::string unknown = "\u1BC0 " + std::string(150, 'z');
  EXPECT_EQ(embedder().count_tokens(unknown), 2U);
  EXPECT_EQ(cosine(unknown, unknown), 0.0F);
  EXPECT_NEAR(cosine(unknown + " river " + unknown, "river"), 1.0F, 1e-5F);
}

TEST(StaticEmbedder, MeaningIsCloserThanChance) {
  EXPECT_GT(cosine("How do I reset my password?", "change the login credentials of an account"),
            cosine("How do I reset my password?", "the volcano erupted in 1883") + 0.1F);
  EXPECT_GT(cosine("car engine repair", "automobile motor maintenance"),
            cosine("car engine repair", "poetry and song"));
}

TEST(StaticEmbedder, AlikeWhateverTheCaseAndAccents) {
  EXPECT_NEAR(cosine("Résumé of the Café", "resume OF THE cafe"), 1.0F, 1e-5F);
}

TEST(StaticEmbedder, ALongTextIsOneVector) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "memory and storage ";
  EXPECT_NEAR(cosine(text, "memory and storage"), 1.0F, 1e-4F);
  EXPECT_EQ(embedder().count_tokens(text), 15000U);
}

TEST(StaticEmbedder, GivesARowForEachTextThroughThePort) {
  boost::asio::io_context io;
  StaticEmbedder embedder = StaticEmbedder::embedded().value();
  const core::RequestContext context;
  const std::vector<std::string_view> texts = {"river", "", "bank of a river"};
  core::Embeddings got;
  boost::asio::co_spawn(
      io, embedder.embed(context, texts),
      [&](const std::exception_ptr&, base::Result<core::Embeddings> result) { got = result.value(); });
  io.run();
  ASSERT_EQ(got.rows, 3U);
  ASSERT_EQ(got.values.size(), 3 * got.dimensions);
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto expected = vector_of(texts[i]);
    EXPECT_TRUE(
        std::equal(expected.begin(), expected.end(), got.values.begin() + static_cast<ptrdiff_t>(i * got.dimensions)));
  }
}

TEST(StaticTokenReader, ReadsAndEmbedsAsTheEmbedderDoes) {
  const StaticEmbedder embedder = *StaticEmbedder::embedded();
  const auto reader = embedder.token_reader();
  const std::vector<std::string> pieces{"the",
                                        "The",
                                        "THE",
                                        "running",
                                        "unbelievabilities",
                                        "caf\u00e9",
                                        "\u6771\u4eac",
                                        "a\u0301b",
                                        "gpt4",
                                        "v1.2.3",
                                        "x",
                                        "[UNK]",
                                        "{",
                                        "[",
                                        "@",
                                        "`",
                                        "\x7f",
                                        "na\xc3",
                                        "antidisestablishmentarianism",
                                        "zqxj",
                                        "0123456789",
                                        "abcdefghijklmnop",
                                        "abcdefghijklmnopq",
                                        "'"};
  std::mt19937 random(3);
  for (int round = 0; round < 400; ++round) {
    std::vector<std::string> texts(1 + random() % 4);
    std::vector<uint16_t> tokens;
    std::vector<size_t> ends;
    for (std::string& text : texts) {
      const size_t start = tokens.size();
      for (size_t left = random() % 900; left > 0; --left) {
        text += pieces[random() % pieces.size()];
        if (random() % 3 != 0) text += " \n\t,-"[random() % 5];
      }
      ASSERT_EQ(reader->read(text, tokens), embedder.count_tokens(text));
      ASSERT_EQ(tokens.size() - start, embedder.count_tokens(text));
      ends.push_back(tokens.size());
    }
    std::vector<float> vectors(texts.size() * embedder.dimensions(), 7.0F), expected(embedder.dimensions());
    reader->embed(tokens, ends, vectors);
    for (size_t i = 0; i < texts.size(); ++i) {
      embedder.embed_one(texts[i], expected);
      const auto row = std::span(vectors).subspan(i * embedder.dimensions(), embedder.dimensions());
      ASSERT_TRUE(std::ranges::equal(row, expected)) << texts[i];
    }
  }
}

TEST(Accumulate, AgreesWithPlainArithmetic) {
  constexpr size_t kRows = 50, kDimensions = 192;
  std::vector<int8_t> values(kRows * kDimensions);
  std::vector<float> scales(kRows);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int8_t>(i * 7919 % 255 - 127);
  for (size_t i = 0; i < kRows; ++i) scales[i] = 0.01F * static_cast<float>(i + 1);
  const std::vector<uint16_t> rows = {0, 49, 3, 3, 17};
  std::vector<float> sum(kDimensions, 0.5F);
  accumulate({values.data(), scales.data(), kDimensions}, rows, sum.data());
  for (size_t d = 0; d < kDimensions; ++d) {
    float expected = 0.5F;
    for (const uint16_t row : rows) expected += scales[row] * static_cast<float>(values[row * kDimensions + d]);
    EXPECT_NEAR(sum[d], expected, 1e-3F);
  }
}

}  // namespace
}  // namespace tessera::index
