#include "llm/routing/renamed_model.h"

#include <utility>

namespace tessera::llm {

using core::Task;

RenamedModel::RenamedModel(std::shared_ptr<core::ChatModel> inner, std::string provider, std::string name)
    : inner_(std::move(inner)), name_(std::move(name)), full_name_(std::move(provider) + "/" + name_) {}

Task<base::Result<std::string>> RenamedModel::relay(const core::RequestContext& context,
                                                    const core::RelayRequest& request, core::RelaySink* sink,
                                                    core::RelayReport& report) {
  // Most requests pass without a frame or a copy of their own.
  return named_right(request.model) ? inner_->relay(context, request, sink, report)
                                    : relay_copy(context, request, sink, report);
}

Task<base::Result<std::string>> RenamedModel::relay_copy(const core::RequestContext& context,
                                                         const core::RelayRequest& request, core::RelaySink* sink,
                                                         core::RelayReport& report) {
  core::RelayRequest renamed = request;
  renamed.model = name_;
  co_return co_await inner_->relay(context, renamed, sink, report);
}

Task<base::Result<core::ChatCompletion>> RenamedModel::generate(const core::RequestContext& context,
                                                                const core::ChatRequest& request,
                                                                core::ChatSink* sink) {
  return named_right(request.model) ? inner_->generate(context, request, sink) : generate_copy(context, request, sink);
}

Task<base::Result<core::ChatCompletion>> RenamedModel::generate_copy(const core::RequestContext& context,
                                                                     const core::ChatRequest& request,
                                                                     core::ChatSink* sink) {
  core::ChatRequest renamed = request;
  renamed.model = name_;
  co_return co_await inner_->generate(context, renamed, sink);
}

}  // namespace tessera::llm
