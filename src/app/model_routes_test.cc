#include "app/model_routes.h"

#include <gtest/gtest.h>

#include <set>

#include "app/profile_settings.h"
#include "async/run_blocking.h"

namespace tessera::app {
namespace {

using config::ProviderSettings;
using config::RoutedModelSettings;

// Answers with its endpoint and the model it was asked for, or with an error that is in force for the endpoint.
class NamedModel final : public core::ChatModel {
 public:
  NamedModel(core::EndpointInfo info, const std::map<std::string, base::Error>& errors)
      : info_(std::move(info)), errors_(errors) {}
  [[nodiscard]] bool relays() const override { return true; }
  core::Task<base::Result<std::string>> relay(const core::RequestContext&, const core::RelayRequest& request,
                                              core::RelaySink*, core::RelayReport&) override {
    for (const std::string& key : {info_.endpoint, info_.endpoint + " " + request.model}) {
      if (const auto found = errors_.find(key); found != errors_.end()) co_return std::unexpected(found->second);
    }
    co_return info_.endpoint + " " + request.model;
  }
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext&, const core::ChatRequest&,
                                                          core::ChatSink*) override {
    co_return core::ChatCompletion{};
  }

 private:
  core::EndpointInfo info_;
  const std::map<std::string, base::Error>& errors_;
};

class Routes : public ::testing::Test {
 protected:
  static ProviderSettings provider(std::string name, std::vector<std::string> models, std::string location = "cloud") {
    ProviderSettings made;
    made.name = std::move(name);
    made.models = std::move(models);
    made.location = std::move(location);
    made.api_key = "k1";
    made.concurrent_max = 8;
    return made;
  }
  static RoutedModelSettings entry(std::string name, std::string upstream) {
    RoutedModelSettings made;
    made.name = std::move(name);
    made.upstream = std::move(upstream);
    return made;
  }
  void build() {
    settings.llm.attempts_max = 1;
    profiles = std::make_unique<llm::ProfileTable>(profile_changes(settings));
    ModelRoutes routes(settings, {.http = std::make_shared<wire::HttpClient>(),
                                  .metrics = metrics,
                                  .profiles = *profiles,
                                  .clock = clock,
                                  .random = random,
                                  .decorate =
                                      [this](std::shared_ptr<core::ChatModel>, const core::EndpointInfo& info) {
                                        return std::make_shared<NamedModel>(info, errors);
                                      },
                                  .local = local});
    auto made = llm::ModelCatalog::create(routes.others(), catalog_default, routes.named());
    ASSERT_TRUE(made) << made.error().message;
    catalog = *std::move(made);
  }
  std::string ask(const std::string& model) {
    auto found = catalog->find(model);
    if (!found) return found.error().name;
    core::RelayRequest request;
    request.model = model;
    report = {};
    const auto answer = async::sync_wait((*found)->relay(context, request, nullptr, report));
    return answer ? *answer : answer.error().name;
  }
  /// The same of what the model does besides chat; `report` says more of it.
  std::string ask_port(core::PortKind kind, const std::string& model, const std::string& endpoint = {}) {
    const auto port = core::port_model(catalog->ports(model), kind);
    if (port == nullptr) return "no port";
    core::RelayRequest request;
    request.model = model;
    request.endpoint = endpoint;
    report = {};
    const auto answer = async::sync_wait(port->relay(context, request, nullptr, report));
    return answer ? *answer : answer.error().name;
  }
  void fail(const std::string& where, base::Code code, const std::string& name) {
    errors[where] = base::make_error(code, name, "");
  }

  config::Settings settings;
  observe::Metrics metrics;
  base::ManualClock clock;
  base::SeededRandom random{1};
  LocalChat local;
  std::unique_ptr<llm::ProfileTable> profiles;
  std::unique_ptr<llm::ModelCatalog> catalog;
  std::string catalog_default = "auto";
  std::map<std::string, base::Error> errors;
  core::RequestContext context;
  core::RelayReport report;
};

TEST_F(Routes, ModelsGoToTheirProviders) {
  settings.providers = {provider("openai", {"gpt-4o", "gpt-4o-mini"}), provider("azure", {"gpt-4o"})};
  build();
  EXPECT_EQ(ask("gpt-4o-mini"), "openai gpt-4o-mini");
  EXPECT_EQ(ask("openai/gpt-4o-mini"), "openai openai/gpt-4o-mini");
  EXPECT_EQ(ask("azure/gpt-4o"), "azure azure/gpt-4o");
  EXPECT_EQ(ask("azure/other"), "azure azure/other");
  EXPECT_EQ(ask("nothing"), "MODEL_NOT_FOUND");
  const std::set<std::string> answers{ask("gpt-4o"), ask("gpt-4o")};
  EXPECT_EQ(answers, (std::set<std::string>{"azure gpt-4o", "openai gpt-4o"}));
  EXPECT_EQ(catalog->info("gpt-4o")->profile->context_window, 128'000);
}

TEST_F(Routes, KeysShareTheCallsAndStandInForEachOther) {
  settings.providers = {provider("openai", {"m"})};
  settings.providers[0].further_api_keys = {"k2", "k3"};
  build();
  EXPECT_EQ((std::set<std::string>{ask("m"), ask("m"), ask("m")}),
            (std::set<std::string>{"openai m", "openai#2 m", "openai#3 m"}));
  fail("openai", base::Code::upstream, "PROVIDER_AUTH");
  fail("openai#2", base::Code::exhausted, "PROVIDER_RATE_LIMIT");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(ask("m"), "openai#3 m");
}

TEST_F(Routes, EntriesRenameAndFallBack) {
  settings.providers = {provider("openai", {"gpt-4o", "gpt-4o-mini"}), provider("other", {"big"})};
  settings.models = {entry("smart", "gpt-4o")};
  settings.models[0].aliases = {"clever"};
  settings.models[0].fallbacks = {"gpt-4o-mini", "other/big"};
  settings.models[0].price_prompt = 2.5;
  settings.models[0].price_completion = 10;
  settings.models[0].temperature = 0.1;
  build();
  EXPECT_EQ(ask("smart"), "openai gpt-4o");
  EXPECT_EQ(ask("clever"), "openai gpt-4o");
  fail("openai gpt-4o", base::Code::upstream, "PROVIDER_FAILED");
  EXPECT_EQ(ask("smart"), "openai gpt-4o-mini");
  fail("openai", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask("smart"), "other big");
  EXPECT_EQ(catalog->info("clever")->id, "smart");
  EXPECT_EQ(catalog->info("smart")->profile->temperature, 0.1);
  EXPECT_EQ(profiles->find("openai", "gpt-4o")->price.prompt.pico_usd, 2'500'000);
  EXPECT_EQ(profiles->find("openai", "smart")->price.completion.pico_usd, 10'000'000);
  EXPECT_FALSE(profiles->find("openai", "gpt-4o")->temperature);
}

TEST_F(Routes, CheaperRelationsTakeOverOnRateLimits) {
  settings.providers = {provider("openai", {"gpt-4o"})};
  settings.llm.cheaper_fallback = true;
  build();
  fail("openai gpt-4o", base::Code::exhausted, "PROVIDER_RATE_LIMIT");
  EXPECT_EQ(ask("gpt-4o"), "openai gpt-4o-mini");
  fail("openai gpt-4o", base::Code::upstream, "PROVIDER_FAILED");
  clock.advance(base::Millis(2000));
  EXPECT_EQ(ask("gpt-4o"), "PROVIDER_FAILED");
}

TEST_F(Routes, AutoIsLocalFirst) {
  settings.providers = {provider("openai", {"gpt-4o"}), provider("ollama", {"llama3"}, "local")};
  local.provider = "llama_cpp";
  local.models = {"tiny"};
  local.model = std::make_shared<NamedModel>(core::EndpointInfo{}, errors);
  build();
  EXPECT_EQ(ask("auto"), "llama_cpp tiny");
  EXPECT_EQ(ask("llama_cpp/tiny"), "llama_cpp llama_cpp/tiny");
  fail("llama_cpp", base::Code::unavailable, "ENGINE_DOWN");
  EXPECT_EQ(ask("auto"), "ollama llama3");
  fail("ollama", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask("auto"), "openai gpt-4o");
  fail("openai", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask("auto"), "PROVIDER_UNAVAILABLE");
  settings.llm.provider = "ollama";
  build();
  EXPECT_EQ(ask("auto"), "PROVIDER_UNAVAILABLE");
}

TEST_F(Routes, AutoTakesTurnsNotSharesAndEndsWithTheFallbacks) {
  settings.providers = {provider("a", {"m"}), provider("b", {"m"}), provider("c", {}), provider("d", {"spare"})};
  settings.models = {entry("smart", "big")};
  settings.models[0].providers = {"c"};
  settings.providers[3].location = "elsewhere";
  settings.llm.fallbacks = {"d/spare"};
  build();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ask("auto"), "a m");
  fail("a", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask("auto"), "b m");
  fail("b", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask("auto"), "c big") << "the entry that names it says what it serves";
  fail("c", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask("auto"), "d spare");
}

TEST_F(Routes, WhoMayUseSomeModelsOnlyIsAnsweredByNoOther) {
  settings.providers = {provider("a", {"m", "cheap"}), provider("b", {"m"}), provider("c", {"x"})};
  settings.models = {entry("smart", "m"), entry("spare", "x")};
  settings.models[0].providers = {"a"};
  settings.models[0].fallbacks = {"b/m", "spare"};
  settings.models[0].cheaper = "cheap";
  settings.models[1].providers = {"c"};
  settings.models[1].aliases = {"second"};
  build();
  const auto limit = [&](std::vector<std::string> names) {
    context.only_models = std::make_shared<const std::vector<std::string>>(std::move(names));
  };
  limit({"smart"});
  EXPECT_EQ(ask("smart"), "a m");
  fail("a", base::Code::exhausted, "PROVIDER_RATE_LIMIT");
  EXPECT_EQ(ask("smart"), "PROVIDER_RATE_LIMIT") << "neither the cheaper one nor a fallback";
  limit({"smart", "second"});
  EXPECT_EQ(ask("smart"), "c x") << "by an alias of the fallback";
  limit({"smart", "b/m", "cheap"});
  EXPECT_EQ(ask("smart"), "b m");
  context.only_models = nullptr;
  EXPECT_EQ(ask("smart"), "b m");
}

TEST_F(Routes, AutoChoosesAmongWhatItsCallerMayUse) {
  settings.providers = {provider("a", {"m"}), provider("b", {"n"}), provider("c", {"spare"})};
  settings.models = {entry("nice", "n")};
  settings.llm.fallbacks = {"c/spare"};
  build();
  const auto limit = [&](std::vector<std::string> names) {
    context.only_models = std::make_shared<const std::vector<std::string>>(std::move(names));
  };
  EXPECT_EQ(*catalog->info("auto")->choices,
            (std::vector<std::string>{"m", "a/m", "n", "b/n", "nice", "spare", "c/spare"}));
  EXPECT_EQ(catalog->info("m")->choices, nullptr);
  limit({"auto"});
  EXPECT_EQ(ask("auto"), "a m");
  limit({"nice"});
  EXPECT_EQ(ask("auto"), "b n");
  limit({"b/n"});
  EXPECT_EQ(ask("auto"), "b n");
  fail("b", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask("auto"), "PROVIDER_UNAVAILABLE");
  limit({"other"});
  EXPECT_EQ(ask("auto"), "MODEL_NOT_ALLOWED");
}

TEST_F(Routes, LocalModelsComeBeforeThoseOfTheSameNameElsewhere) {
  settings.providers = {provider("openai", {"tiny"})};
  local.provider = "llama_cpp";
  local.models = {"tiny"};
  local.model = std::make_shared<NamedModel>(core::EndpointInfo{}, errors);
  build();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ask("tiny"), "llama_cpp tiny");
  fail("llama_cpp", base::Code::unavailable, "ENGINE_DOWN");
  EXPECT_EQ(ask("tiny"), "openai tiny");
}

TEST_F(Routes, WhatModelsDoBesidesChatGoesTheSameWays) {
  settings.providers = {provider("openai", {"big"}), provider("vllm", {"big"})};
  settings.providers[0].further_api_keys = {"k2"};
  settings.providers[1].type = "vllm";
  settings.models = {entry("smart", "big")};
  settings.models[0].aliases = {"clever"};
  build();
  for (const core::PortKind kind :
       {core::PortKind::embeddings, core::PortKind::responses, core::PortKind::transcription}) {
    for (const char* name : {"smart", "clever", "big"}) {
      EXPECT_EQ((std::set<std::string>{ask_port(kind, name), ask_port(kind, name), ask_port(kind, name)}),
                (std::set<std::string>{"openai big", "openai#2 big", "vllm big"}))
          << name;
    }
  }
  EXPECT_EQ(ask_port(core::PortKind::rerank, "smart"), "vllm big") << "the only one that ranks";
  EXPECT_EQ(ask_port(core::PortKind::embeddings, "vllm/other"), "vllm vllm/other");
  EXPECT_EQ(ask_port(core::PortKind::rerank, "openai/other"), "no port");
  EXPECT_EQ(ask_port(core::PortKind::embeddings, "auto"), "no port");
  fail("openai", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  fail("openai#2", base::Code::upstream, "PROVIDER_AUTH");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ask_port(core::PortKind::embeddings, "smart"), "vllm big");
}

TEST_F(Routes, OtherModelsStandInForResponsesOnly) {
  settings.providers = {provider("a", {"m"}), provider("b", {"n"})};
  settings.models = {entry("smart", "m")};
  settings.models[0].fallbacks = {"b/n"};
  build();
  fail("a", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask_port(core::PortKind::responses, "smart"), "b n");
  EXPECT_EQ(ask_port(core::PortKind::embeddings, "smart"), "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask_port(core::PortKind::transcription, "smart"), "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask_port(core::PortKind::responses, "auto"), "b n");
}

TEST_F(Routes, ResponsesStayWhereTheyWereMade) {
  settings.providers = {provider("a", {"m"}), provider("b", {"m"}), provider("c", {"n"})};
  settings.providers[0].further_api_keys = {"k2"};
  settings.providers[1].type = "ollama";
  build();
  const auto kept = catalog->ports("m").stored_responses;
  EXPECT_TRUE(kept->keeps("a") && kept->keeps("a#2"));
  EXPECT_FALSE(kept->keeps("b")) << "it answers over chat";
  EXPECT_FALSE(kept->keeps("c"));
  EXPECT_TRUE(kept->keeps("")) << "those that were noted without an endpoint";
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(ask_port(core::PortKind::responses, "m", "a#2"), "a#2 m");
    EXPECT_EQ(report.endpoint, "a#2");
  }
  EXPECT_EQ(ask_port(core::PortKind::responses, "n", "a#2"), "KEPT_ELSEWHERE");
  fail("a#2", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask_port(core::PortKind::responses, "m", "a#2"), "PROVIDER_UNAVAILABLE");
}

TEST_F(Routes, ProvidersSayHowOftenTheyMayBeAsked) {
  settings.providers = {provider("a", {"m"}), provider("b", {"n"})};
  settings.llm.backoff_min_ms = settings.llm.backoff_max_ms = base::Millis(1);
  settings.providers[0].attempts_max = 3;
  build();
  fail("a m", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  fail("b n", base::Code::unavailable, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask("m"), "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(ask("n"), "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(metrics.llm_retries.with("a").value(), 2U);
  EXPECT_EQ(metrics.llm_retries.with("b").value(), 0U);
}

TEST_F(Routes, AnEntryThatNamesTheProviderMakesTheVectors) {
  settings.providers = {provider("a", {}), provider("b", {})};
  settings.models = {entry("vectors", "e"), entry("others", "e")};
  settings.models[0].providers = {"b", "a"};
  build();
  ModelRoutes routes(settings, {.http = nullptr,
                                .metrics = metrics,
                                .profiles = *profiles,
                                .clock = clock,
                                .random = random,
                                .decorate = {},
                                .local = {}});
  EXPECT_EQ(routes.name_at("a", "vectors"), "vectors");
  EXPECT_EQ(routes.name_at("a", "others"), "a/others");
  EXPECT_EQ(routes.name_at("a", "e"), "a/e");
}

}  // namespace
}  // namespace tessera::app
