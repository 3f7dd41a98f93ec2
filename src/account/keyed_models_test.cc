#include "account/keyed_models.h"

#include <gmock/gmock.h>

#include "async/run_blocking.h"
#include "store/memory/memory_store.h"

namespace tessera::account {
namespace {

using async::sync_wait;

/// Answers with the usage it is told, or fails.
class ToldModel final : public core::ChatModel {
 public:
  core::Usage usage;
  std::vector<std::string> limit;  ///< that the last call was told of
  bool fails = false;
  int calls = 0;

  [[nodiscard]] bool relays() const override { return true; }
  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest&,
                                              core::RelaySink*, core::RelayReport& report) override {
    ++calls;
    limit = context.only_models == nullptr ? std::vector<std::string>() : *context.only_models;
    if (fails) co_return base::fail(base::Code::upstream, "BROKEN", "It broke.");
    report.usage = usage;
    report.usage_reported = true;
    co_return "{}";
  }
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext&, const core::ChatRequest&,
                                                          core::ChatSink*) override {
    ++calls;
    core::ChatCompletion done;
    done.usage = usage;
    co_return done;
  }
};

core::Usage usage(int64_t prompt, int64_t completion) {
  core::Usage made;
  made.prompt_tokens = prompt;
  made.completion_tokens = completion;
  return made;
}

class ToldEmbeddings final : public core::EmbeddingsRelay {
 public:
  core::Task<base::Result<std::string>> embeddings(const core::RequestContext&, const core::RelayRequest&,
                                                   core::RelayReport& report) override {
    report.usage = usage(40, 0);
    report.usage_reported = true;
    co_return "{}";
  }
};

class ToldResponses final : public core::ResponsesRelay {
 public:
  core::Task<base::Result<std::string>> respond(const core::RequestContext&, const core::RelayRequest&,
                                                core::RelaySink*, core::RelayReport&) override {
    co_return "{}";
  }
};

class OneModel final : public core::ModelCatalog {
 public:
  std::shared_ptr<ToldModel> model = std::make_shared<ToldModel>();
  [[nodiscard]] base::Result<std::shared_ptr<core::ChatModel>> find(std::string_view) const override { return model; }
  [[nodiscard]] std::optional<core::ModelInfo> info(std::string_view id) const override {
    if (id == "missing") return std::nullopt;
    core::ModelInfo info{.id = std::string(id), .provider = "p"};
    if (id == "auto") info.choices = std::make_shared<const std::vector<std::string>>(choices);
    return info;
  }
  std::vector<std::string> choices{"x", "p/x", "y"};
  std::string usual = "first";
  [[nodiscard]] std::vector<core::ModelInfo> list() const override { return {}; }
  [[nodiscard]] std::string default_model() const override { return usual; }
  [[nodiscard]] core::ModelPorts ports(std::string_view id) const override {
    core::ModelPorts ports;
    if (id == "answering") ports.responses = std::make_shared<ToldResponses>();
    ports.embeddings = std::make_shared<ToldEmbeddings>();
    return ports;
  }
};

struct World {
  base::ManualClock clock;
  base::SystemRandom random;
  base::IdSource ids{clock, random};
  store::MemoryStore store{clock};
  KeyRing ring{{store.keys(), clock, random, ids}};
  OneModel models;
  KeyedModels keyed{models, ring, clock};
  core::RequestContext context;

  /// Requests are those of a key with these models and tokens a minute from now on.
  void use_key(std::vector<std::string> allowed, int64_t tokens) {
    NewKey wanted;
    wanted.scopes = ScopeSet::all();
    wanted.models = std::move(allowed);
    wanted.tokens_per_minute = tokens;
    context.key_id = sync_wait(ring.create({"app"}, wanted))->key.key_id;
  }
  std::string relay(std::string_view model, size_t bytes) {
    const auto found = *keyed.find(model);
    const core::RelayRequest request{.model = std::string(model), .body = std::string(bytes, 'x')};
    core::RelayReport report;
    const auto answer = sync_wait(found->relay(context, request, nullptr, report));
    return answer ? "done" : answer.error().name;
  }
  int64_t left() { return ring.find(context.key_id)->meter->tokens(clock.now())->remaining; }
};

TEST(KeyedModels, LetThroughTheModelsOfTheKeyOnly) {
  World world;
  EXPECT_EQ(world.relay("anything", 4), "done") << "no key, no rule";
  world.use_key({"first", "b"}, 0);
  EXPECT_EQ(world.relay("b", 4), "done");
  EXPECT_EQ(world.relay("", 4), "done") << "the default model";
  EXPECT_EQ(world.relay("c", 4), "MODEL_NOT_ALLOWED");
  EXPECT_EQ(world.models.model->calls, 3);
}

TEST(KeyedModels, LetANameThatChoosesChooseAmongTheModelsOfTheKey) {
  World world;
  EXPECT_EQ(world.relay("auto", 4), "done");
  EXPECT_TRUE(world.models.model->limit.empty());
  world.use_key({"p/x", "z"}, 0);
  EXPECT_EQ(world.relay("auto", 4), "done");
  EXPECT_EQ(world.models.model->limit, (std::vector<std::string>{"p/x", "z"})) << "so that no other one answers";
  world.use_key({"z"}, 0);
  EXPECT_EQ(world.relay("auto", 4), "MODEL_NOT_ALLOWED");
  world.use_key({"auto"}, 0);
  EXPECT_EQ(world.relay("auto", 4), "done");
}

TEST(KeyedModels, KnowWhoAnswersWhenNobodyIsNamed) {
  World world;
  using enum core::ModelUse;
  const auto pick = [&](core::ModelUse use) { return world.keyed.default_for(world.context, use); };
  EXPECT_EQ(pick(chat), "first");
  world.use_key({}, 0);
  EXPECT_EQ(pick(chat), "first");
  world.use_key({"z", "first"}, 0);
  EXPECT_EQ(pick(chat), "first") << "the usual one may be used";
  world.use_key({"missing", "z", "answering"}, 0);
  EXPECT_EQ(pick(chat), "z") << "the first that there is";
  EXPECT_EQ(pick(responses), "answering") << "the first that can";
  world.use_key({"missing"}, 0);
  EXPECT_EQ(pick(chat), "first");
  EXPECT_EQ(world.relay("first", 4), "MODEL_NOT_ALLOWED");
  world.models.usual = "auto";
  world.use_key({"z", "y"}, 0);
  EXPECT_EQ(pick(chat), "auto") << "which chooses among those";
  world.use_key({"z"}, 0);
  EXPECT_EQ(pick(chat), "z");
}

TEST(KeyedModels, AskTheKeyForTheOtherPortsToo) {
  World world;
  world.use_key({"b"}, 1000);
  const auto embed = [&](std::string_view model) {
    const core::RelayRequest request{.model = std::string(model), .body = "{}"};
    core::RelayReport report;
    const auto answer = sync_wait(world.keyed.ports(model).embeddings->embeddings(world.context, request, report));
    return answer ? "done" : answer.error().name;
  };
  EXPECT_EQ(embed("b"), "done");
  EXPECT_EQ(world.left(), 960);
  EXPECT_EQ(embed("c"), "MODEL_NOT_ALLOWED");
  EXPECT_EQ(world.keyed.ports("b").rerank, nullptr);
}

TEST(KeyedModels, CountWhatTheProviderSaidAndNothingOfACallThatFailedAtOnce) {
  World world;
  world.use_key({}, 1000);
  world.models.model->usage = usage(100, 50);
  EXPECT_EQ(world.relay("m", 2000), "done");
  EXPECT_EQ(world.left(), 850);
  world.models.model->fails = true;
  EXPECT_EQ(world.relay("m", 2000), "BROKEN");
  EXPECT_EQ(world.left(), 850);
  EXPECT_EQ(world.relay("m", 3600), "TOKENS_LIMITED") << "900 tokens by the guess";
  EXPECT_EQ(world.models.model->calls, 2) << "refused before the provider heard of it";
  world.models.model->usage = usage(800, 400);
  core::ChatRequest request;
  request.model = "m";
  EXPECT_TRUE(sync_wait((*world.keyed.find("m"))->generate(world.context, request, nullptr)));
  EXPECT_EQ(world.left(), 0);
  world.clock.advance(base::Millis(61'000));
  EXPECT_EQ(world.left(), 1000);
}

}  // namespace
}  // namespace tessera::account
