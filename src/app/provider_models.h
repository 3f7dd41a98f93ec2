#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "async/event.h"
#include "base/clock.h"
#include "core/model_ports.h"

namespace tessera::app {

/// What providers offer whose models nobody has configured, as "PROVIDER/MODEL". A provider is asked when a list is
/// wanted and its last answer is older than kFresh, all of them at the same time; one that does not answer within
/// kPatience is left out, or listed as it was before, and asked again after kRest, then twice as long each time. Who
/// wants a list meanwhile gets what was known before, or waits for the first answer. Thread-safe. Never fails.
class ProviderModels final : public core::ModelLister {
 public:
  static constexpr base::Millis kFresh{300'000};
  static constexpr base::Millis kRest{15'000};
  static constexpr base::Millis kPatience{3'000};
  static constexpr size_t kNamesMax = 2'000;  ///< of one provider

  explicit ProviderModels(const base::Clock& clock) : clock_(clock) {}
  /// Before the first list_models.
  void add(std::string provider, std::shared_ptr<core::ModelLister> lister);

  core::Task<base::Result<std::vector<std::string>>> list_models(const core::RequestContext& context) override;

 private:
  struct Source {
    std::string provider;
    std::shared_ptr<core::ModelLister> lister;
    std::vector<std::string> names = {};          // guarded by mutex_
    int failures = 0;                             // in a row; guarded by mutex_
    base::SteadyTime ask_again = {};              // guarded by mutex_
    std::shared_ptr<async::Event> answered = {};  // guarded by mutex_; null: nobody is asking
  };
  /// What one caller does about one provider.
  struct Part {
    Source* source;
    bool asks;                               ///< else another does
    std::shared_ptr<async::Event> answered;  ///< null: what is known will do
  };
  Part take_part(Source& source);
  core::Task<void> ask(const core::RequestContext& context, Part part);

  const base::Clock& clock_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Source>> sources_;
};

}  // namespace tessera::app
