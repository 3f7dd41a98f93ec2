#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "llm/engines/engine_pool.h"
#include "llm/providers/relayed_model.h"

namespace tessera::llm {

/// The chat model of a pool of llama-servers. A request goes to the slot that holds the beginning of its conversation;
/// one whose engine ends before anything of the answer was passed on is asked again of another. Thread-safe; the pool
/// outlives it. Errors as EnginePool::acquire and OpenAiModel.
class EngineModel final : public RelayedModel {
 public:
  explicit EngineModel(EnginePool& pool) : pool_(pool) {}

  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override;

 private:
  EnginePool& pool_;
};

/// What a request's body says that decides on its slot.
struct SlotHints {
  std::string_view conversation;  ///< the bytes of "messages"
  bool several = false;           ///< asks for more than one answer: the engine spreads them over slots itself
};
SlotHints read_slot_hints(std::string_view body);

/// The body with the slot to use; unchanged when it is no object.
std::string with_slot(std::string_view body, size_t slot);

}  // namespace tessera::llm
