// Anthropic's Messages -> OpenAI's chat completions: https://docs.anthropic.com/en/api/messages-streaming
#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "llm/providers/anthropic_names.h"
#include "llm/providers/relay_answer.h"
#include "llm/providers/request_fields.h"
#include "llm/providers/translation.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;

constexpr size_t kBlocksMax = 4096;

std::string_view finish_of(std::string_view reason) {
  if (reason == "max_tokens" || reason == "model_context_window_exceeded") return "length";
  if (reason == "tool_use") return "tool_calls";
  if (reason == "refusal") return "content_filter";
  return "stop";  // end_turn, stop_sequence, pause_turn
}

/// A block of the answer that is being streamed.
struct Block {
  json::object whole;     ///< as it began, and for thinking and server tools as it grows
  std::string arguments;  ///< of a server tool's input, or a thought's text
  size_t call = 0;
  enum class Kind { text, tool, answer, thinking, other } kind = Kind::other;
};

class AnthropicReader final : public AnswerReader {
 public:
  explicit AnthropicReader(AnswerMeans means) : means_(means) {}

  base::Result<> event(std::string_view data, std::string& out) override {
    boost::system::error_code failed;
    const json::value value = json::parse(data, failed);
    const json::object* event = failed ? nullptr : value.if_object();
    if (event == nullptr) return bad("a stream event that is not JSON");
    const std::string_view type = text_of(event->if_contains("type"));
    const json::value* body = nullptr;
    if (type == "error") {
      body = event->if_contains("error");
      return std::unexpected(
          relayed_error(means_.provider, body != nullptr ? json::serialize(*body) : "{}", means_.secret));
    }
    if (type == "message_start") {
      body = event->if_contains("message");
      if (body != nullptr && body->is_object()) begin(body->get_object());
    } else if (type == "content_block_start") {
      return block_start(*event, out);
    } else if (type == "content_block_delta") {
      body = event->if_contains("delta");
      const auto block = blocks_.find(count_of(event->if_contains("index")));
      if (block != blocks_.end() && body != nullptr && body->is_object()) delta(block->second, body->get_object(), out);
    } else if (type == "content_block_stop") {
      const auto block = blocks_.find(count_of(event->if_contains("index")));
      if (block != blocks_.end()) block_stop(block->second, out);
    } else if (type == "message_delta") {
      message_delta(*event, out);
    } else if (type == "message_stop") {
      done_ = true;
    }
    return {};
  }

  [[nodiscard]] bool complete() const override { return done_ || finished_; }
  [[nodiscard]] bool done() const override { return done_; }

  base::Result<std::string> whole(std::string_view body) override {
    boost::system::error_code failed;
    const json::value value = json::parse(body, failed);
    const json::object* message = failed ? nullptr : value.if_object();
    if (message == nullptr) return bad("something that is not JSON");
    if (const json::value* error = member_of(*message, "error")) {
      return std::unexpected(relayed_error(means_.provider, json::serialize(*error), means_.secret));
    }
    const json::value* content = message->if_contains("content");
    if (content == nullptr || !content->is_array()) return bad("no content");
    begin(*message);
    ChoiceText choice;
    json::array thoughts;
    json::array others;
    for (const json::value& each : content->get_array()) {
      if (each.is_object()) take_block(each.get_object(), choice, thoughts, others);
    }
    if (!thoughts.empty()) choice.extras.emplace_back("thinking_blocks", json::serialize(thoughts));
    if (!others.empty()) choice.extras.emplace_back("content_blocks", json::serialize(others));
    choice.finish_reason = finish(text_of(message->if_contains("stop_reason")));
    return means_.writer.whole({std::move(choice)});
  }

 private:
  std::unexpected<base::Error> bad(std::string_view what) const {
    return base::fail(base::Code::upstream, "BAD_RESPONSE",
                      fmt::format("the provider {} answered with {}", means_.provider, what));
  }

  void begin(const json::object& message) {
    means_.writer.set_head(text_of(message.if_contains("id")), text_of(message.if_contains("model")));
    read_usage(message.if_contains("usage"));
  }

  // Later events repeat some of the counts, and mean totals.
  void read_usage(const json::value* usage) {
    if (usage == nullptr || !usage->is_object()) return;
    const auto take = [&](std::string_view key, int64_t& into) {
      if (const json::value* count = member_of(usage->get_object(), key)) into = count_of(count);
    };
    take("input_tokens", input_);
    take("output_tokens", output_);
    take("cache_read_input_tokens", cached_);
    take("cache_creation_input_tokens", created_);
    if (const json::value* lasting = member_of(usage->get_object(), "cache_creation");
        lasting != nullptr && lasting->is_object()) {
      if (const json::value* hour = member_of(lasting->get_object(), "ephemeral_1h_input_tokens")) {
        created_long_ = count_of(hour);
      }
    }
    if (const json::value* tier = member_of(usage->get_object(), "service_tier")) tier_ = price_tier(text_of(tier));
    core::Usage total;
    total.prompt_tokens = input_ + cached_ + created_;
    total.cached_prompt_tokens = cached_;
    total.completion_tokens = output_;
    total.cache_write_tokens = created_;
    total.cache_write_long_tokens = created_long_;
    total.tier = tier_;
    means_.writer.usage(total, {});
  }

  // An answer that came through the answer tool is an answer, no call.
  std::string finish(std::string_view reason) const {
    return std::string(reason == "tool_use" && calls_ == 0 && answered_ ? "stop" : finish_of(reason));
  }

  base::Result<> block_start(const json::object& event, std::string& out) {
    const json::value* body = event.if_contains("content_block");
    if (body == nullptr || !body->is_object() || blocks_.size() >= kBlocksMax) return bad("a block that is none");
    Block& block = blocks_[count_of(event.if_contains("index"))];
    block.whole = body->get_object();
    const std::string_view type = text_of(block.whole.if_contains("type"));
    const std::string_view name = text_of(block.whole.if_contains("name"));
    if (type == "text") {
      block.kind = Block::Kind::text;
      means_.writer.text(out, 0, text_of(block.whole.if_contains("text")));
    } else if (type == "tool_use" && name == kAnswerTool) {
      block.kind = Block::Kind::answer;
      answered_ = true;
    } else if (type == "tool_use") {
      block.kind = Block::Kind::tool;
      block.call = calls_++;
      means_.writer.tool_begin(out, 0, block.call,
                               {std::string(text_of(block.whole.if_contains("id"))), std::string(name), "", ""});
    } else if (type == "thinking" || type == "redacted_thinking") {
      block.kind = Block::Kind::thinking;
      block.arguments = text_of(block.whole.if_contains("thinking"));
      means_.writer.reasoning(out, 0, block.arguments);
    }
    return {};
  }

  void delta(Block& block, const json::object& delta, std::string& out) {
    const std::string_view type = text_of(delta.if_contains("type"));
    if (type == "text_delta") {
      means_.writer.text(out, 0, text_of(delta.if_contains("text")));
    } else if (type == "thinking_delta") {
      block.arguments += text_of(delta.if_contains("thinking"));
      means_.writer.reasoning(out, 0, text_of(delta.if_contains("thinking")));
    } else if (type == "signature_delta") {
      block.whole["signature"] = std::string(text_of(delta.if_contains("signature")));
    } else if (type == "input_json_delta") {
      const std::string_view piece = text_of(delta.if_contains("partial_json"));
      if (block.kind == Block::Kind::tool) {
        means_.writer.tool_arguments(out, 0, block.call, piece);
        block.arguments = "streamed";
      } else if (block.kind == Block::Kind::answer) {
        means_.writer.text(out, 0, piece);
      } else {
        block.arguments += piece;
      }
    } else if (type == "citations_delta") {
      if (const json::value* citation = delta.if_contains("citation")) {
        means_.writer.extra(out, 0, "citations", json::serialize(json::array{*citation}));
      }
    } else {
      for (const auto& [key, value] : delta) {
        if (key != "type") block.whole[key] = value;  // a block of theirs that grows, such as a compaction
      }
    }
  }

  void block_stop(Block& block, std::string& out) {
    if (block.kind == Block::Kind::tool && block.arguments.empty()) {
      // Without any piece the input is what the block began with, mostly {}.
      const json::value* input = block.whole.if_contains("input");
      means_.writer.tool_arguments(out, 0, block.call, input != nullptr ? json::serialize(*input) : "{}");
    } else if (block.kind == Block::Kind::thinking) {
      if (block.whole.contains("thinking")) block.whole["thinking"] = block.arguments;
      means_.writer.extra(out, 0, "thinking_blocks", json::serialize(json::array{block.whole}));
    } else if (block.kind == Block::Kind::other) {
      boost::system::error_code failed;
      json::value input = json::parse(block.arguments.empty() ? "null" : block.arguments, failed);
      if (!failed && !input.is_null()) block.whole["input"] = std::move(input);
      means_.writer.extra(out, 0, "content_blocks", json::serialize(json::array{block.whole}));
    }
    block.whole.clear();
    std::string().swap(block.arguments);
    if (block.kind == Block::Kind::tool) block.arguments = "streamed";
  }

  void message_delta(const json::object& event, std::string& out) {
    read_usage(event.if_contains("usage"));
    const json::value* delta = event.if_contains("delta");
    if (delta == nullptr || !delta->is_object()) return;
    const std::string_view reason = text_of(delta->get_object().if_contains("stop_reason"));
    if (reason.empty() || finished_) return;
    finished_ = true;
    means_.writer.finish(out, 0, finish(reason));
  }

  void take_block(const json::object& block, ChoiceText& choice, json::array& thoughts, json::array& others) {
    const std::string_view type = text_of(block.if_contains("type"));
    if (type == "text") {
      choice.content += text_of(block.if_contains("text"));
    } else if (type == "thinking" || type == "redacted_thinking") {
      choice.reasoning += text_of(block.if_contains("thinking"));
      thoughts.push_back(block);
    } else if (type == "tool_use") {
      const json::value* input = block.if_contains("input");
      std::string arguments = input != nullptr ? json::serialize(*input) : "{}";
      if (text_of(block.if_contains("name")) == kAnswerTool) {
        choice.content += arguments;
        answered_ = true;
        return;
      }
      ++calls_;
      choice.calls.push_back({std::string(text_of(block.if_contains("id"))),
                              std::string(text_of(block.if_contains("name"))), std::move(arguments), ""});
    } else {
      others.push_back(block);
    }
  }

  AnswerMeans means_;
  std::map<int64_t, Block> blocks_;
  size_t calls_ = 0;
  bool answered_ = false;
  bool finished_ = false;
  bool done_ = false;
  int64_t input_ = 0;
  int64_t output_ = 0;
  int64_t cached_ = 0;
  int64_t created_ = 0;       // put into the cache
  int64_t created_long_ = 0;  // of these: for an hour
  core::PriceTier tier_ = core::PriceTier::standard;
};

}  // namespace

std::unique_ptr<AnswerReader> anthropic_reader(AnswerMeans means) {
  return std::make_unique<AnthropicReader>(means);
}

}  // namespace tessera::llm
