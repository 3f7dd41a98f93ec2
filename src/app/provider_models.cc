#include "app/provider_models.h"

#include <algorithm>
#include <utility>

namespace tessera::app {

void ProviderModels::add(std::string provider, std::shared_ptr<core::ModelLister> lister) {
  sources_.push_back(std::make_unique<Source>(Source{.provider = std::move(provider), .lister = std::move(lister)}));
}

bool ProviderModels::take_turn(Source& source) {
  const std::lock_guard lock(mutex_);
  const base::SteadyTime now = clock_.now();
  if (now < source.ask_again) return false;
  source.ask_again = now + kRest;  // others do not ask meanwhile
  return true;
}

core::Task<void> ProviderModels::ask(const core::RequestContext& context, Source& source) {
  core::RequestContext own = context;
  own.deadline = std::min(context.deadline, clock_.now() + kPatience);
  auto names = co_await source.lister->list_models(own);
  if (!names) co_return;
  if (names->size() > kNamesMax) names->resize(kNamesMax);
  const std::lock_guard lock(mutex_);
  source.names = *std::move(names);
  source.ask_again = clock_.now() + kFresh;
}

core::Task<base::Result<std::vector<std::string>>> ProviderModels::list_models(const core::RequestContext& context) {
  std::vector<std::string> all;
  for (const auto& source : sources_) {
    if (take_turn(*source)) co_await ask(context, *source);
    const std::lock_guard lock(mutex_);
    for (const std::string& name : source->names) all.push_back(source->provider + "/" + name);
  }
  co_return all;
}

}  // namespace tessera::app
