#include "api/response_owners.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace tessera::api {
namespace {

TEST(ResponseOwners, RandomHistoriesAgreeWithAList) {
  constexpr size_t kMax = 8;
  struct Noted {
    std::string app_id;
    std::string response_id;
    std::string model;
    bool forgotten = false;
  };
  std::mt19937 random(7);
  const auto pick = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
  for (int round = 0; round < 50; ++round) {
    ResponseOwners owners(kMax);
    std::vector<Noted> list;  // the last kMax that were noted anew
    const auto known = [&](const std::string& id) -> Noted* {
      for (Noted& each : list) {
        if (each.response_id == id && !each.forgotten) return &each;
      }
      return nullptr;
    };
    for (int step = 0; step < 300; ++step) {
      const std::string app = "app" + std::to_string(pick(3));
      const std::string id = "resp_" + std::to_string(pick(16));
      if (const int what = pick(4); what == 0) {
        owners.forget(id);
        if (Noted* const found = known(id)) found->forgotten = true;
      } else if (what < 3) {
        const std::string model = "m" + std::to_string(step);
        owners.note(app, id, model);
        if (known(id) == nullptr) list.push_back({app, id, model});
        if (list.size() > kMax) list.erase(list.begin());
      }
      const Noted* const found = known(id);
      const bool own = found != nullptr && found->app_id == app;
      ASSERT_EQ(owners.model_of(app, id).value_or(""), own ? found->model : "") << step;
      ASSERT_EQ(owners.strange(app, id), found != nullptr && !own) << step;
    }
  }
}

}  // namespace
}  // namespace tessera::api
