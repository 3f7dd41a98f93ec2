#include "app/provider_models.h"

#include <algorithm>
#include <utility>

#include "async/deadline.h"
#include "async/task_scope.h"

namespace tessera::app {

void ProviderModels::add(std::string provider, std::shared_ptr<core::ModelLister> lister) {
  sources_.push_back(std::make_unique<Source>(Source{.provider = std::move(provider), .lister = std::move(lister)}));
}

ProviderModels::Part ProviderModels::take_part(Source& source) {
  const std::lock_guard lock(mutex_);
  if (source.answered != nullptr) return {&source, false, source.names.empty() ? source.answered : nullptr};
  const base::SteadyTime now = clock_.now();
  if (now < source.ask_again) return {&source, false, nullptr};
  source.answered = std::make_shared<async::Event>();
  return {&source, true, source.answered};
}

core::Task<void> ProviderModels::ask(const core::RequestContext& context, Part part) {
  if (!part.asks) {
    (void)co_await part.answered->wait({.deadline = context.deadline, .token = context.cancel});
    co_return;
  }
  Source& source = *part.source;
  core::RequestContext own = context;
  const auto call = [&](async::CancelToken token) {
    own.cancel = std::move(token);
    return source.lister->list_models(own);
  };
  auto names = co_await async::with_deadline(context.deadline, context.cancel, call);
  {
    const std::lock_guard lock(mutex_);
    const base::SteadyTime now = clock_.now();
    source.answered = nullptr;
    if (names) {
      if (names->size() > kNamesMax) names->resize(kNamesMax);
      source.names = *std::move(names);
      source.failures = 0;
      source.ask_again = now + kFresh;
    } else if (names.error().code == base::Code::cancelled) {
      source.ask_again = now;  // its asker went away, which says nothing of the provider
    } else {
      // Whoever is silent for good is seldom waited for.
      source.ask_again = now + std::min(kFresh, kRest * (1 << std::min(source.failures++, 10)));
    }
  }
  part.answered->set();
}

core::Task<base::Result<std::vector<std::string>>> ProviderModels::list_models(const core::RequestContext& context) {
  core::RequestContext patient = context;
  patient.deadline = std::min(context.deadline, clock_.now() + kPatience);
  std::vector<Part> parts;
  for (const auto& source : sources_) {
    if (Part part = take_part(*source); part.answered != nullptr) parts.push_back(std::move(part));
  }
  if (!parts.empty()) {
    async::TaskScope scope(co_await boost::asio::this_coro::executor);
    for (Part& part : parts) scope.spawn([this, &patient, &part] { return ask(patient, std::move(part)); });
    (void)co_await scope.join();
  }
  std::vector<std::string> all;
  const std::lock_guard lock(mutex_);
  for (const auto& source : sources_) {
    for (const std::string& name : source->names) all.push_back(source->provider + "/" + name);
  }
  co_return all;
}

}  // namespace tessera::app
