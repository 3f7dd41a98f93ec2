#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <future>
#include <random>

#include "llm/engines/child_host.h"
#include "llm/engines/engine_model.h"
#include "llm/engines/launch.h"
#include "llm/engines/model_file.h"
#include "llm/engines/prefix.h"
#include "llm/engines/services_test.h"
#include "llm/engines/suggestions.h"

namespace tessera::llm {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

ChildExit run(const std::string& shell, std::vector<std::string> environment = {}) {
  ChildHost host;
  std::promise<ChildExit> ended;
  const auto child = host.start({.arguments = {"/bin/sh", "-c", shell}, .environment = std::move(environment)},
                                [&](const ChildExit& exit) { ended.set_value(exit); });
  EXPECT_TRUE(child);
  return ended.get_future().get();
}

TEST(ChildHost, ReportsHowAChildEnded) {
  const ChildExit exit = run("echo one; echo two >&2; exit 3");
  EXPECT_FALSE(exit.by_signal);
  EXPECT_EQ(exit.status, 3);
  EXPECT_EQ(exit.said, "one\ntwo\n");
  EXPECT_TRUE(run("kill -9 $$").by_signal);
}

TEST(ChildHost, GivesOnlyTheEnvironmentThatIsAsked) {
  EXPECT_EQ(run("/usr/bin/env | grep -v ^PWD= | grep -v ^_=", {"TESSERA_X=1"}).said, "TESSERA_X=1\n");
  EXPECT_EQ(run("ls /proc/self/fd | wc -l", {"PATH=/usr/bin:/bin"}).said, "4\n");  // 0, 1, 2 and ls's own
}

TEST(ChildHost, KeepsTheEndOfMuchOutput) {
  const ChildExit exit = run("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done");
  EXPECT_EQ(exit.said.size(), 4096u);
  EXPECT_THAT(exit.said, ::testing::EndsWith("line 2999\n"));
}

TEST(ChildHost, EndsTheGroupWithGraceOrWithout) {
  ChildHost host;
  const std::string marker = testing::Services::scratch("marker");
  for (const int grace : {0, 50}) {
    std::filesystem::remove(marker);
    std::promise<ChildExit> ended;
    // Deaf to SIGTERM, with a child of its own.
    const std::string deaf = "trap '' TERM; sleep 100 & : > " + marker + "; wait; sleep 100";
    const auto child = host.start({.arguments = {"/bin/sh", "-c", deaf}, .environment = {"PATH=/usr/bin:/bin"}},
                                  [&](const ChildExit& exit) { ended.set_value(exit); });
    ASSERT_TRUE(child);
    const int process = host.process_of(*child);
    ASSERT_TRUE(testing::eventually([&] { return std::filesystem::exists(marker); }));
    host.stop(*child, base::Millis(grace));
    EXPECT_EQ(ended.get_future().get().status, SIGKILL);
    EXPECT_TRUE(testing::eventually([&] { return ::kill(-process, 0) != 0; }));  // the grandchild is gone, too
  }
}

TEST(ChildHost, TakesItsChildrenAlong) {
  std::promise<ChildExit> ended;
  {
    ChildHost host;
    ASSERT_TRUE(host.start({.arguments = {"sleep", "100"}, .environment = {}},
                           [&](const ChildExit& exit) { ended.set_value(exit); }));
  }
  EXPECT_EQ(ended.get_future().get().status, SIGKILL);
  ChildHost host;
  EXPECT_EQ(host.start({.arguments = {"no-such-program-anywhere"}, .environment = {}}, {}).error().name,
            "ENGINE_MISSING");
}

TEST(LaunchCommand, SharesContextAndDevicesOutAndHidesTheKey) {
  EngineSpec spec;
  spec.name = "m";
  spec.program = "llama-server";
  spec.model_path = "/m.gguf";
  spec.context = 1000;
  spec.slots = 4;
  spec.devices = {"0", "2"};
  spec.arguments = {"--flash-attn", "on"};
  const ChildCommand command = launch_command(spec, {.port = 99, .key = "secret"}, 1, 2);
  EXPECT_THAT(command.arguments, Contains("4000"));
  EXPECT_THAT(command.arguments, Not(Contains(HasSubstr("secret"))));
  EXPECT_EQ(command.arguments.back(), "on");
  EXPECT_THAT(command.environment, Contains("LLAMA_API_KEY=secret"));
  EXPECT_THAT(command.environment, Contains("CUDA_VISIBLE_DEVICES=2"));
  EXPECT_THAT(launch_command(spec, {}, 0, 1).environment, Contains("CUDA_VISIBLE_DEVICES=0,2"));
  spec.kind = EngineKind::embedding;
  EXPECT_THAT(launch_command(spec, {}, 0, 1).arguments, Contains("--embeddings"));
}

TEST(Prefix, CountsCommonBlocks) {
  const std::string text(1000, 'x');
  std::string other = text;
  other[300] = 'y';
  EXPECT_EQ(prefix_of(text).size(), 7u);
  EXPECT_EQ(common_blocks(prefix_of(text), prefix_of(text + text)), 7u);
  EXPECT_EQ(common_blocks(prefix_of(text), prefix_of(other)), 2u);
  EXPECT_EQ(prefix_of(std::string(1UL << 21U, 'x')).size(), kPrefixBlocksMax);
}

// Conversations that grow, in a random order, over engines with slots enough for all: each finds its own again.
TEST(Prefix, ConversationsFindTheirSlotsAgain) {
  std::mt19937 random(5);  // NOLINT: repeatable
  std::vector<std::vector<Slot>> engines(3, std::vector<Slot>(4));
  std::vector<std::string> conversations(12);
  for (size_t i = 0; i < conversations.size(); ++i) conversations[i] = std::string(200, static_cast<char>('a' + i));
  std::vector<std::pair<size_t, size_t>> homes(conversations.size(), {99, 99});
  uint64_t uses = 0;
  for (int step = 0; step < 2000; ++step) {
    const size_t which = random() % conversations.size();
    std::vector<std::span<const Slot>> views(engines.begin(), engines.end());
    SlotChoice choice;
    const Prefix prefix = prefix_of(conversations[which]);
    ASSERT_TRUE(choose_slot(views, prefix, choice));
    if (homes[which].first != 99) {
      EXPECT_EQ(std::pair(choice.engine, choice.slot), homes[which]);
      EXPECT_GT(choice.common, 0u);
    }
    homes[which] = {choice.engine, choice.slot};
    engines[choice.engine][choice.slot] = {.prefix = prefix, .used = ++uses, .busy = false};
    if (conversations[which].size() < 20'000) conversations[which] += std::string(random() % 300, '.');
  }
}

TEST(Prefix, TakesTheQuietestEngineAndNeverABusySlot) {
  std::vector<std::vector<Slot>> engines(2, std::vector<Slot>(2));
  engines[0][0].busy = true;
  const auto choose = [&](const Prefix& prefix) {
    std::vector<std::span<const Slot>> views(engines.begin(), engines.end());
    SlotChoice choice{9, 9, 0};
    return choose_slot(views, prefix, choice) ? choice : SlotChoice{9, 9, 0};
  };
  EXPECT_EQ(choose({}).engine, 1u);
  engines[1][0] = {.prefix = prefix_of(std::string(5000, 'x')), .used = 1, .busy = false};
  EXPECT_EQ(choose(prefix_of(std::string(200, 'x'))).slot, 1u);  // would cost the long one its memory
  EXPECT_EQ(choose(prefix_of(std::string(6000, 'x'))).slot, 0u);
  for (auto& engine : engines) {
    for (Slot& slot : engine) slot.busy = true;
  }
  EXPECT_EQ(choose({}).engine, 9u);
}

TEST(EngineModel, ReadsAndWritesTheSlot) {
  const auto hints = read_slot_hints(R"({"n": 2, "messages": [{"role":"user","content":"a"}]})");
  EXPECT_EQ(hints.conversation, R"([{"role":"user","content":"a"}])");
  EXPECT_TRUE(hints.several);
  EXPECT_EQ(read_slot_hints("nonsense").conversation, "");
  EXPECT_EQ(with_slot(R"({"a":1})", 3), R"({"id_slot":3,"a":1})");
  EXPECT_EQ(with_slot("{ }", 3), R"({"id_slot":3 })");
  EXPECT_EQ(with_slot("x", 3), "x");
}

TEST(ModelFile, ReadsHeadsAndSurvivesDamage) {
  const std::string path = testing::Services::model("embed", {"--width", "96"});
  const auto model = read_model_file(path);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->architecture, "bert");
  EXPECT_EQ(model->title, "test-embed");
  EXPECT_EQ(model->embedding_length, 96u);
  EXPECT_EQ(model->context_length, 512u);
  std::ifstream file(path, std::ios::binary);
  std::string head(2000, '\0');
  file.read(head.data(), 2000);
  const std::string damaged = path + ".damaged";
  std::mt19937 random(3);  // NOLINT: repeatable
  for (int i = 0; i < 300; ++i) {
    std::string bytes = head.substr(0, random() % head.size());
    for (int flips = 0; flips < 3 && !bytes.empty(); ++flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    std::ofstream(damaged, std::ios::binary) << bytes;
    const auto read = read_model_file(damaged);  // an error or something, but an end
    if (read) EXPECT_FALSE(read->architecture.empty());
  }
  EXPECT_EQ(read_model_file("/nowhere").error().name, "MODEL_FILE");
}

TEST(ModelFile, KnowsQuantizationsByName) {
  EXPECT_EQ(quantization_of("mistral-7b-instruct.Q4_K_M.gguf"), "Q4");
  EXPECT_EQ(quantization_of("Llama-3-IQ2_XS.gguf"), "Q2");
  EXPECT_EQ(quantization_of("model-f16.gguf"), "F16");
  EXPECT_EQ(quantization_of("x-bf16.gguf"), "BF16");
  EXPECT_EQ(quantization_of("Qwen2-7B.gguf"), "");
  EXPECT_EQ(quantization_of("q8_0.gguf"), "Q8");
}

TEST(Suggestions, FollowTheDecisionTree) {
  EXPECT_EQ(suggest({.cores = 8, .memory_gb = 32, .fast = true}).model, "Mistral-7B");
  EXPECT_EQ(suggest({.cores = 8, .memory_gb = 32, .accurate = true}).model, "Llama 2-13B");
  EXPECT_EQ(suggest({.cores = 8, .memory_gb = 16, .accurate = true}).model, "Llama 2-7B");
  EXPECT_EQ(suggest({.cores = 4, .memory_gb = 6, .accurate = true}).model, "GPT4All-J");
  EXPECT_EQ(suggest({.cores = 4, .memory_gb = 16}).model, "GPT4All-J");
  const Suggestion many = suggest({.cores = 32, .memory_gb = 64, .users = 200});
  EXPECT_EQ(many.instances, 3);
  EXPECT_EQ(many.embedding_instances, 3);
  EXPECT_EQ(many.embedding_batch, 256);
  const Suggestion one = suggest({.cores = 16, .memory_gb = 16, .users = 1});
  EXPECT_EQ(one.instances, 1);
  EXPECT_EQ(one.workers, 14);
  EXPECT_THAT(suggestion_yaml(one), HasSubstr("model_pool_size: 1\n"));
  EXPECT_EQ(one.parallel, 1);
  EXPECT_EQ(suggest({.cores = 8, .memory_gb = 64, .users = 8}).parallel, 8);
  EXPECT_EQ(suggest({.cores = 8, .memory_gb = 128, .users = 100}).parallel, 32);
  EXPECT_THAT(suggestion_yaml(suggest({.cores = 8, .memory_gb = 128, .users = 100})), HasSubstr("n_parallel: 32\n"));
  // What does not fit is said: 3 instances of 4 GB, 2 GB for the system, 1.9 GB for each conversation.
  EXPECT_EQ(many.parallel, 8);
  EXPECT_THAT(suggestion_yaml(many), HasSubstr("n_parallel: 8   # 32 would want 195 GB of memory\n"));
}

}  // namespace
}  // namespace tessera::llm
