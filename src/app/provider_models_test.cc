#include "app/provider_models.h"

#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>

#include "async/run_blocking.h"
#include "async/task_scope.h"

namespace tessera::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Answers at once, or when it is told to.
class ToldLister final : public core::ModelLister {
 public:
  std::vector<std::string> names;
  bool fails = false;
  async::Event* waits_for = nullptr;  ///< or for its caller's end
  async::Event* tells = nullptr;
  int calls = 0;

  core::Task<base::Result<std::vector<std::string>>> list_models(const core::RequestContext& context) override {
    ++calls;
    if (tells != nullptr) tells->set();
    if (waits_for != nullptr &&
        co_await waits_for->wait({.deadline = {}, .token = context.cancel}) != async::Wake::ready)
      co_return base::fail(base::Code::cancelled, "CANCELLED", "it was left");
    if (fails) co_return base::fail(base::Code::upstream, "PROVIDER_FAILED", "it broke");
    co_return names;
  }
};

class Listing : public ::testing::Test {
 protected:
  ToldLister& add(ProviderModels& models, const std::string& provider, std::vector<std::string> names) {
    listers.push_back(std::make_shared<ToldLister>());
    listers.back()->names = std::move(names);
    models.add(provider, listers.back());
    return *listers.back();
  }
  static std::vector<std::string> list(ProviderModels& models) {
    return *async::sync_wait(models.list_models(core::RequestContext()));
  }
  std::vector<std::shared_ptr<ToldLister>> listers;
  async::Event never;
};

TEST_F(Listing, AsksAllAtTheSameTime) {
  const base::SystemClock clock;
  ProviderModels models(clock);
  async::Event asked;
  add(models, "a", {"m"}).waits_for = &asked;
  add(models, "b", {"n", "o"}).tells = &asked;
  EXPECT_THAT(list(models), ElementsAre("a/m", "b/n", "b/o"));
}

// The manual clock's times are long gone, so whoever waits is left at once.
TEST_F(Listing, WhoIsSilentOrFailsHidesNobodyAndIsListedAsBefore) {
  base::ManualClock clock;
  ProviderModels models(clock);
  ToldLister& silent = add(models, "silent", {"s"});
  add(models, "good", {"g"});
  ToldLister& broken = add(models, "broken", {"b"});
  silent.waits_for = &never;
  broken.fails = true;
  EXPECT_THAT(list(models), ElementsAre("good/g"));
  EXPECT_THAT(list(models), ElementsAre("good/g"));
  EXPECT_EQ(silent.calls, 1) << "it is left alone for a while";
  silent.waits_for = nullptr;
  broken.fails = false;
  clock.advance(ProviderModels::kRest);
  EXPECT_THAT(list(models), ElementsAre("silent/s", "good/g", "broken/b"));
  EXPECT_EQ(listers[1]->calls, 1) << "what is fresh is not asked for";
  silent.waits_for = &never;
  broken.fails = true;
  clock.advance(ProviderModels::kFresh);
  EXPECT_THAT(list(models), ElementsAre("silent/s", "good/g", "broken/b"));
  EXPECT_EQ(silent.calls, 3);
  EXPECT_EQ(listers[1]->calls, 2);
}

TEST_F(Listing, WhoStaysSilentIsWaitedForLessAndLess) {
  base::ManualClock clock;
  ProviderModels models(clock);
  ToldLister& silent = add(models, "silent", {"s"});
  silent.waits_for = &never;
  base::Millis rest = ProviderModels::kRest;
  for (int asked = 1; asked < 10; ++asked) {
    EXPECT_THAT(list(models), IsEmpty());
    EXPECT_EQ(silent.calls, asked);
    clock.advance(rest - base::Millis(1));
    EXPECT_THAT(list(models), IsEmpty());
    EXPECT_EQ(silent.calls, asked) << "not yet";
    clock.advance(base::Millis(1));
    rest = std::min(2 * rest, ProviderModels::kFresh);
  }
  silent.waits_for = nullptr;
  EXPECT_THAT(list(models), ElementsAre("silent/s"));
}

TEST_F(Listing, WhoComesMeanwhileWaitsForTheFirstAnswerAndLaterTakesWhatIsKnown) {
  base::SystemClock clock;
  ProviderModels models(clock);
  async::Event answers;
  ToldLister& slow = add(models, "slow", {"m"});
  slow.waits_for = &answers;
  boost::asio::io_context loop;
  async::TaskScope scope(loop.get_executor());
  std::vector<std::optional<std::vector<std::string>>> got(3);
  std::vector<core::RequestContext> contexts(3);
  const auto start = [&](size_t who) {
    scope.spawn([&, who]() -> async::Task<> { got[who] = *co_await models.list_models(contexts[who]); });
    loop.restart();
    loop.poll();
  };
  start(0);
  start(1);
  EXPECT_FALSE(got[0] || got[1]);
  EXPECT_EQ(slow.calls, 1);
  answers.set();
  loop.restart();
  loop.poll();
  EXPECT_THAT(*got[0], ElementsAre("slow/m"));
  EXPECT_THAT(*got[1], ElementsAre("slow/m"));
  start(2);
  EXPECT_THAT(*got[2], ElementsAre("slow/m"));
  EXPECT_EQ(slow.calls, 1);
  scope.close();
}

TEST_F(Listing, AnAskerWhoLeavesLeavesTheQuestionToTheNext) {
  base::SystemClock clock;
  ProviderModels models(clock);
  ToldLister& lister = add(models, "a", {"m"});
  lister.waits_for = &never;
  async::CancelSource leaving;
  core::RequestContext context;
  context.cancel = leaving.token();
  boost::asio::io_context loop;
  async::TaskScope scope(loop.get_executor());
  std::vector<std::string> got{"unset"};
  scope.spawn([&]() -> async::Task<> { got = *co_await models.list_models(context); });
  loop.poll();
  leaving.cancel();
  loop.restart();
  loop.poll();
  EXPECT_THAT(got, IsEmpty());
  lister.waits_for = nullptr;
  EXPECT_THAT(list(models), ElementsAre("a/m"));
  scope.close();
}

}  // namespace
}  // namespace tessera::app
