#include "llm/model_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "llm/mock/mock_model.h"

namespace tessera::llm {
namespace {

class Catalog : public testing::Test {
 protected:
  base::ManualClock clock;
  std::shared_ptr<core::ChatModel> extractive = std::make_shared<MockModel>(clock);
  std::shared_ptr<core::ChatModel> openai = std::make_shared<MockModel>(clock);
  std::shared_ptr<core::ChatModel> router = std::make_shared<MockModel>(clock);
  std::vector<CatalogEntry> entries = {
      {.provider = "extractive", .models = {"tessera/extractive"}, .model = extractive, .needs_sources = true},
      {.provider = "openai", .models = {"gpt-4o-mini", "gpt-4o"}, .model = openai},
      {.provider = "router", .models = {"gpt-4o", "openai/o3"}, .model = router, .any_model = true}};
};

TEST_F(Catalog, FindsModelsByBothNames) {
  const auto made = ModelCatalog::create(entries);
  ASSERT_TRUE(made);
  const core::ModelCatalog& catalog = **made;
  EXPECT_EQ(*catalog.find("tessera/extractive"), extractive);
  EXPECT_EQ(*catalog.find("gpt-4o-mini"), openai);
  EXPECT_EQ(*catalog.find("openai/gpt-4o-mini"), openai);
  EXPECT_EQ(*catalog.find("gpt-4o"), openai);
  EXPECT_EQ(*catalog.find("router/gpt-4o"), router);
  EXPECT_EQ(*catalog.find("openai/o3"), router);
  EXPECT_EQ(*catalog.find("router/anything/else"), router);
  EXPECT_EQ(catalog.default_model(), "tessera/extractive");
  EXPECT_TRUE(catalog.info("tessera/extractive")->needs_sources);
  EXPECT_EQ(catalog.info("openai/gpt-4o")->provider, "openai");
  EXPECT_FALSE(catalog.info("gpt-9"));
}

TEST_F(Catalog, EveryListedNameIsFoundAtItsProvider) {
  const auto catalog = *ModelCatalog::create(entries, "gpt-4o");
  EXPECT_EQ(catalog->default_model(), "gpt-4o");
  ASSERT_EQ(catalog->list().size(), 5u);
  for (const core::ModelInfo& model : catalog->list()) {
    ASSERT_TRUE(catalog->info(model.id)) << model.id;
    EXPECT_EQ(catalog->info(model.id)->provider, model.provider) << model.id;
  }
}

TEST_F(Catalog, SaysWhichNamesExist) {
  const auto catalog = *ModelCatalog::create(entries);
  for (const char* id : {"", "gpt-9", "openai/gpt-9", "openai/", "router/", "mock/echo"}) {
    const auto found = catalog->find(id);
    ASSERT_FALSE(found) << id;
    EXPECT_EQ(found.error().name, "MODEL_NOT_FOUND");
    EXPECT_THAT(found.error().message, testing::HasSubstr("tessera/extractive, gpt-4o-mini"));
  }
}

TEST_F(Catalog, ASoleProviderAnswersBareNames) {
  entries = {entries[0],
             {.provider = "openai", .models = {"gpt-4o"}, .model = openai, .any_model = true, .bare_names = true}};
  const auto catalog = *ModelCatalog::create(entries);
  EXPECT_EQ(*catalog->find("gpt-4.1"), openai);
  EXPECT_EQ(*catalog->find("meta-llama/Llama-3"), openai);
  EXPECT_EQ(catalog->info("gpt-4.1")->provider, "openai");
  for (const char* id : {"", "auto", "tessera/extractiv", "mock/echo", "llama_cpp/writer"}) {
    EXPECT_FALSE(catalog->find(id)) << id;
  }
}

TEST_F(Catalog, RoutesComeBeforeTheirProviders) {
  const auto route = std::make_shared<MockModel>(clock);
  std::vector<CatalogRoute> routes(3);
  routes[0] = {.info = {.id = "gpt-4o", .provider = "router"}, .names = {"openai/gpt-4o", "smart"}, .model = route};
  routes[1] = {.info = {.id = "smart", .provider = "openai"}, .names = {}, .model = openai};
  routes[2] = {.info = {.id = "fast", .provider = "openai"}, .names = {"gpt-4o-mini"}, .model = router};
  const auto catalog = *ModelCatalog::create(entries, "fast", routes);
  EXPECT_EQ(*catalog->find("gpt-4o"), route);
  EXPECT_EQ(*catalog->find("openai/gpt-4o"), route);
  EXPECT_EQ(*catalog->find("smart"), openai);  // an id counts more than another's further name
  EXPECT_EQ(*catalog->find("gpt-4o-mini"), router);
  EXPECT_EQ(*catalog->find("openai/gpt-4o-mini"), openai);
  EXPECT_EQ(catalog->info("openai/gpt-4o")->id, "gpt-4o");
  std::vector<std::string> ids;
  for (const core::ModelInfo& info : catalog->list()) ids.push_back(info.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"gpt-4o", "smart", "fast", "tessera/extractive", "openai/o3"}));
}

TEST_F(Catalog, RefusesWhatCannotWork) {
  EXPECT_EQ(ModelCatalog::create(entries, "gpt-9").error().code, base::Code::invalid);
  EXPECT_EQ(ModelCatalog::create({}).error().name, "MODEL_NOT_FOUND");
  entries.push_back(entries.front());
  EXPECT_EQ(ModelCatalog::create(entries).error().name, "PROVIDER_TWICE");
}

}  // namespace
}  // namespace tessera::llm
