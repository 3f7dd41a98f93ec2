#include "mock/play.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>

#include "async/deadline.h"
#include "wire/http_types.h"

namespace tessera::mock {
namespace {

using base::SteadyTime;
using Micros = std::chrono::microseconds;

constexpr size_t kBufferMax = 16 * 1024;
constexpr std::string_view kGarbage = "\x7f\xff garbage {{{ not HTTP, not JSON, no event \r\r\n\x01\x02";
constexpr std::chrono::milliseconds kBreath{10};  ///< lets what was sent arrive before a reset destroys it
constexpr std::chrono::milliseconds kDribble{25};

/// Pauses between events end on a grid, so that thousands of streams share their wake-ups. A stream of a fixed rate is
/// always equally late on it, so its gaps stay exact.
constexpr int64_t kGridPerSecond = 4000;

SteadyTime on_grid(SteadyTime when) {
  return SteadyTime(
      std::chrono::ceil<std::chrono::duration<int64_t, std::ratio<1, kGridPerSecond>>>(when.time_since_epoch()));
}

Micros to_micros(double ms) {
  return Micros(std::llround(ms * 1000));
}

/// Plays one answer. Its functions give false when the client is gone.
class Player {
 public:
  explicit Player(Performance& show)
      : show_(show), plan_(show.plan), entry_(show.entry), start_(show.clock.now()), due_(start_) {}

  async::Task<> play();
  async::Task<> error(int status, std::string code, std::string message);

 private:
  async::Task<> stream();
  async::Task<> whole();
  async::Task<> embeddings();
  async::Task<> answer(std::string body, std::string_view content_type);
  async::Task<> before_head();
  async::Task<> break_off(bool stream);
  async::Task<bool> pause_until(SteadyTime when);
  async::Task<bool> begin(int status, std::string type);
  async::Task<bool> dribble(std::string head);
  async::Task<bool> flush();
  async::Task<> finish();
  async::Task<bool> hang();
  [[nodiscard]] std::string type_or(std::string_view type) const {
    return plan_.wrong_type ? "text/html; charset=utf-8" : std::string(type);
  }
  std::unique_ptr<Form> make_form() const;
  void gone() { entry_.outcome = Outcome::client_gone; }
  void touched() {
    if (entry_.first_ms < 0) {
      entry_.first_ms = std::chrono::duration<double, std::milli>(show_.clock.now() - start_).count();
    }
  }
  [[nodiscard]] int64_t token_count() {
    return static_cast<int64_t>(std::min(plan_.tokens.sample(show_.draws), 1e7) + 0.5);
  }

  Performance& show_;
  const Plan& plan_;
  Entry& entry_;
  SteadyTime start_;
  SteadyTime due_;
  std::string buffer_;
  bool raw_ = false;  ///< framed by the end of the connection, since the head was written by hand
};

std::unique_ptr<Form> Player::make_form() const {
  switch (show_.ask.dialect) {
    case Dialect::anthropic:
      return anthropic_form(show_.head);
    case Dialect::gemini:
      return gemini_form(show_.ask, show_.head);
    case Dialect::responses:
      return responses_form(show_.head);
    case Dialect::transcription:
      return transcription_form(show_.ask);
    default:
      return openai_form(show_.ask, show_.head);
  }
}

async::Task<bool> Player::pause_until(SteadyTime when) {
  if (when <= start_ || when <= show_.clock.now()) co_return true;
  const auto slept = co_await async::sleep_until(when, show_.writer.client_gone());
  if (!slept) gone();
  co_return slept.has_value();
}

/// Until the client leaves or the server is stopped.
async::Task<bool> Player::hang() {
  const async::Waiter waiter;
  async::WaitBounds bounds;
  bounds.token = show_.writer.client_gone();
  (void)co_await waiter.wait(std::move(bounds));
  gone();
  co_return false;
}

async::Task<bool> Player::dribble(std::string head) {
  raw_ = true;
  const auto steps = std::max<int64_t>(1, plan_.slow_headers / kDribble);
  const size_t each = head.size() / static_cast<size_t>(steps) + 1;
  SteadyTime next = show_.clock.now();
  for (size_t at = 0; at < head.size(); at += each) {
    if (!co_await show_.writer.write_raw(head.substr(at, each))) {
      gone();
      co_return false;
    }
    touched();
    next += plan_.slow_headers / std::max<int64_t>(1, static_cast<int64_t>((head.size() + each - 1) / each));
    if (!co_await pause_until(next)) co_return false;
  }
  co_return true;
}

/// The head of a stream.
async::Task<bool> Player::begin(int status, std::string type) {
  entry_.status = status;
  if (plan_.slow_headers.count() > 0) {
    co_return co_await dribble(fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nConnection: close\r\n\r\n", status,
                                           wire::reason_phrase(status), type));
  }
  wire::StreamHead head{.status = status, .content_type = std::move(type), .headers = {}};
  head.headers.push_back({"x-request-id", "req_mock_" + std::to_string(entry_.seq)});
  head.headers.push_back({"Cache-Control", "no-cache"});
  const auto done = co_await show_.writer.begin_stream(std::move(head));
  if (!done) gone();
  touched();
  co_return done.has_value();
}

async::Task<bool> Player::flush() {
  if (buffer_.empty()) co_return true;
  auto bytes = std::exchange(buffer_, {});
  const auto done =
      raw_ ? co_await show_.writer.write_raw(std::move(bytes)) : co_await show_.writer.write(std::move(bytes));
  if (!done) gone();
  co_return done.has_value();
}

async::Task<> Player::finish() {
  if (!co_await flush()) co_return;
  if (!raw_ && !co_await show_.writer.finish()) gone();
}

async::Task<> Player::error(int status, std::string code, std::string message) {
  entry_.status = status;
  entry_.outcome = Outcome::error;
  wire::Response response{.status = status, .content_type = type_or("application/json"), .headers = {}, .body = {}};
  response.body = error_body(show_.ask.dialect, status, code, message);
  response.headers.push_back({"x-request-id", "req_mock_" + std::to_string(entry_.seq)});
  if (plan_.retry_after) {
    const int64_t ms = plan_.retry_after->count();
    response.headers.push_back({"Retry-After", std::to_string((ms + 999) / 1000)});
    response.headers.push_back({"retry-after-ms", std::to_string(ms)});
  }
  if (plan_.slow_headers.count() > 0) {
    std::string head = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n",
                                   status, wire::reason_phrase(status), response.content_type, response.body.size());
    for (const auto& header : response.headers) head += header.name + ": " + header.value + "\r\n";
    if (!co_await dribble(head + "\r\n")) co_return;
    if (!co_await show_.writer.write_raw(std::move(response.body))) gone();
    co_return;
  }
  if (!co_await show_.writer.send(std::move(response))) gone();
  touched();
}

/// The faults that come instead of an answer.
async::Task<> Player::before_head() {
  entry_.outcome = Outcome::broken;
  if (!co_await pause_until(due_)) co_return;
  switch (plan_.breaks) {
    case Break::hang:
      (void)co_await hang();
      break;
    case Break::reset:
      show_.writer.end_by_reset();
      break;
    case Break::garbage:
      touched();
      if (!co_await show_.writer.write_raw(std::string(kGarbage))) gone();
      break;
    default:
      if (!co_await show_.writer.write_raw("")) gone();
      break;
  }
}

/// The faults in the middle. What was made so far is sent.
async::Task<> Player::break_off(bool stream) {
  entry_.outcome = Outcome::broken;
  if (plan_.breaks == Break::garbage) {
    buffer_ += stream ? std::string_view("data: {\"choices\":[{\"delta\":garbage\n\n") : kGarbage;
    co_return co_await finish();
  }
  if (plan_.breaks == Break::error) {
    make_form()->error_event(buffer_, plan_.message.empty() ? "the mock failed in mid-stream" : plan_.message);
    co_return co_await finish();
  }
  if (!co_await flush()) co_return;
  if (plan_.breaks == Break::hang) {
    (void)co_await hang();
    co_return;
  }
  if (!co_await pause_until(show_.clock.now() + kBreath)) co_return;
  if (plan_.breaks == Break::reset) {
    show_.writer.end_by_reset();
  } else if (!co_await show_.writer.write_raw("")) {
    gone();
  }
}

async::Task<> Player::stream() {
  const auto form = make_form();
  Pieces pieces(show_.ask, plan_, token_count(), show_.clock);
  if (!co_await begin(200, type_or(form->stream_type()))) co_return;
  if (!co_await pause_until(due_)) co_return;
  const int64_t break_at = plan_.break_after && plan_.breaks != Break::none ? *plan_.break_after : INT64_MAX;
  if (break_at == 0) co_return co_await break_off(true);
  form->begin(buffer_, entry_.usage);
  const bool paced = !plan_.gap.zero();
  Piece piece;
  while (pieces.next(piece)) {
    form->piece(buffer_, piece);
    ++entry_.events;
    entry_.usage.completion += piece.tokens;
    if (entry_.events >= break_at) co_return co_await break_off(true);
    if (paced) due_ += to_micros(plan_.gap.sample(show_.draws));
    if (buffer_.size() < kBufferMax && (!paced || due_ <= show_.clock.now())) continue;
    if (!co_await flush()) co_return;
    if (paced && !co_await pause_until(on_grid(due_))) co_return;
  }
  if (break_at != INT64_MAX) co_return co_await break_off(true);  // a shorter answer than the fault was waiting for
  if (plan_.truncate) {
    // The last event that there is stops in its middle.
    const size_t before = buffer_.size();
    form->end(buffer_, pieces.finish(), entry_.usage, true);
    buffer_.resize(before + (buffer_.size() - before) / 3);
    entry_.outcome = Outcome::broken;
    co_return co_await finish();
  }
  form->end(buffer_, pieces.finish(), plan_.no_usage ? std::nullopt : std::optional(entry_.usage), !plan_.no_done);
  co_await finish();
}

async::Task<> Player::answer(std::string body, std::string_view content_type) {
  const bool breaks = plan_.breaks != Break::none && plan_.break_after;
  if (!breaks && !plan_.truncate && plan_.slow_headers.count() == 0) {
    wire::Response response{.status = 200, .content_type = type_or(content_type), .headers = {}, .body = {}};
    response.body = std::move(body);
    response.headers.push_back({"x-request-id", "req_mock_" + std::to_string(entry_.seq)});
    if (!co_await show_.writer.send(std::move(response))) gone();
    entry_.status = 200;
    touched();
    co_return;
  }
  if (!co_await begin(200, type_or(content_type))) co_return;
  if (breaks) {
    if (plan_.breaks != Break::garbage && *plan_.break_after > 0) buffer_ = body.substr(0, body.size() / 2);
    co_return co_await break_off(false);
  }
  if (plan_.truncate) {
    entry_.outcome = Outcome::broken;
    body.resize(body.size() / 2);
  }
  buffer_ = std::move(body);
  co_await finish();
}

async::Task<> Player::whole() {
  Pieces pieces(show_.ask, plan_, token_count(), show_.clock);
  std::vector<WholeChoice> choices(static_cast<size_t>(show_.ask.choices));
  const bool paced = !plan_.gap.zero();
  Piece piece;
  while (pieces.next(piece)) {
    entry_.usage.completion += piece.tokens;
    WholeChoice& choice = choices[static_cast<size_t>(piece.choice)];
    if (piece.kind == Piece::Kind::text) {
      choice.text += piece.text;
    } else if (piece.kind == Piece::Kind::tool_begin) {
      choice.calls.push_back({.name = piece.text, .arguments = {}});
    } else {
      choice.calls.back().arguments += piece.text;
    }
    if (paced) due_ += to_micros(plan_.gap.sample(show_.draws));
  }
  if (!co_await pause_until(due_)) co_return;
  const auto form = make_form();
  co_await answer(form->whole(choices, pieces.finish(), plan_.no_usage ? std::nullopt : std::optional(entry_.usage)),
                  form->whole_type());
}

async::Task<> Player::embeddings() {
  if (!co_await pause_until(due_)) co_return;
  co_await answer(embeddings_body(show_.ask, show_.head.model, entry_.usage), "application/json");
}

async::Task<> Player::play() {
  entry_.usage.prompt = plan_.prompt_tokens.value_or(show_.ask.prompt_tokens());
  entry_.usage.cached = std::min(plan_.cached_tokens, entry_.usage.prompt);
  if (!plan_.first.zero()) due_ += to_micros(plan_.first.sample(show_.draws));
  if (plan_.status != 0) {
    if (!co_await pause_until(due_)) co_return;
    entry_.usage = {};
    const bool filtered = plan_.finish == "content_filter";
    std::string code = filtered ? "content_filter" : (plan_.status == 429 ? "rate_limit_exceeded" : "");
    std::string message = !plan_.message.empty() ? plan_.message
                          : filtered             ? "the prompt was refused by a content filter"
                                                 : fmt::format("the mock was asked for status {}", plan_.status);
    co_return co_await error(plan_.status, std::move(code), std::move(message));
  }
  if (plan_.breaks != Break::none && !plan_.break_after) {
    entry_.usage = {};
    co_return co_await before_head();
  }
  if (show_.ask.dialect == Dialect::embeddings) co_return co_await embeddings();
  if (show_.ask.stream) co_return co_await stream();
  co_await whole();
}

}  // namespace

async::Task<> perform(Performance& show) {
  Player player(show);
  co_await player.play();
}

async::Task<> send_error(Performance& show, int status, std::string code, std::string message) {
  Player player(show);
  co_await player.error(status, std::move(code), std::move(message));
}

std::string fault_of(const Plan& plan) {
  std::string fault;
  const auto add = [&fault](std::string_view text) {
    if (!fault.empty()) fault += ", ";
    fault += text;
  };
  if (plan.status != 0) {
    add(plan.finish == "content_filter" ? "refuse" : fmt::format("status {}", plan.status));
  } else if (plan.breaks != Break::none) {
    constexpr std::string_view kNames[] = {"", "close", "reset", "hang", "garbage", "error"};
    add(kNames[static_cast<size_t>(plan.breaks)]);
    if (plan.break_after) fault += fmt::format(" after {}", *plan.break_after);
  }
  if (plan.filter_after) add(fmt::format("filter after {}", *plan.filter_after));
  if (plan.slow_headers.count() > 0) add("slow headers");
  if (plan.truncate) add("truncate");
  if (plan.wrong_type) add("wrong type");
  if (plan.no_done) add("no done");
  if (plan.no_usage) add("no usage");
  return fault;
}

}  // namespace tessera::mock
