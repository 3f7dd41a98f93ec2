#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/accounts.h"
#include "core/chat_model.h"
#include "core/model_profile.h"
#include "text/bpe.h"

namespace tessera::account {

/// Tokens of a call before it is made. Short prompts are counted with a vocabulary and, since models differ, given a
/// quarter more for the bound; long ones are taken for two bytes a token, which no language or code is denser than.
struct CallEstimate {
  int64_t prompt = 0;            ///< about
  int64_t prompt_bound = 0;      ///< no more than
  int64_t completion_bound = 0;  ///< of all choices
};

/// Prompts of more bytes than this are bounded, not counted.
inline constexpr size_t kCountedBytesMax = 8192;
/// An image is taken for this many tokens.
inline constexpr int64_t kImageTokens = 1600;
/// A completion that neither the request nor the profile bounds.
inline constexpr int64_t kCompletionTokens = 4096;

/// Of a request in OpenAI's dialect. What is no JSON is estimated by its size. `profile` may be null.
CallEstimate estimate_relay(std::string_view body, const text::BpeCounter& counter, const core::ModelProfile* profile);
/// A bound of the same that is too high, from the size of the body alone; nothing when more would have to be read.
std::optional<CallEstimate> bound_relay(std::string_view body, const core::ModelProfile* profile);
CallEstimate estimate_chat(const core::ChatRequest& request, const text::BpeCounter& counter,
                           const core::ModelProfile* profile);

/// What a text of so many bytes is taken for when nobody counted it.
int64_t tokens_of_bytes(int64_t bytes);

/// What usage costs by a price, whatever its tier; negative numbers count as 0, and no call costs more than kCostMax.
core::Money charge(const core::Price& price, const core::Usage& usage);
/// What it costs by the prices of its tier; nothing where none are known, or no profile.
core::Money charge(const core::ModelProfile* profile, const core::Usage& usage);
/// Puts the tokens into an entry; numbers that are none are bounded.
void fill_usage(core::LedgerEntry& entry, const core::Usage& usage);
inline constexpr core::Money kCostMax{100'000'000'000'000'000};  // 100,000 USD

}  // namespace tessera::account
