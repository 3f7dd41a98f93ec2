#include "app/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace tessera::app {
namespace {

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

}  // namespace

Terminal Terminal::of_process(const config::Environment& environment) {
  Terminal terminal;
  terminal.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  terminal.err_is_terminal = isatty(STDERR_FILENO) == 1;
  const auto no_color = environment.find("NO_COLOR");
  const auto term = environment.find("TERM");
  const bool refused = no_color != environment.end() && !no_color->second.empty();
  const bool dumb = term != environment.end() && term->second == "dumb";
  terminal.colour = terminal.out_is_terminal && !refused && !dumb;
  winsize size{};
  if (terminal.out_is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.width = std::clamp<size_t>(size.ws_col, 40, 120);
  }
  return terminal;
}

std::string styled(const Terminal& terminal, Style style, std::string_view text) {
  if (!terminal.colour || style == Style::plain) return std::string(text);
  static constexpr int kCodes[] = {0, 1, 2, 31, 32, 33, 36};
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<size_t>(style)], text);
}

std::string harmless(std::string_view text, bool lines) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C1 controls are two bytes in UTF-8: C2 80 to C2 9F.
    const bool c1 = c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c == '\n' && lines) {
      result += '\n';
    } else if (c1) {
      result += ' ';
      ++i;
    } else {
      result += c < 0x20 || c == 0x7F ? ' ' : text[i];
    }
  }
  return result;
}

std::string wrapped(std::string_view text, size_t width, size_t indent) {
  std::string result;
  size_t column = 0;
  size_t at = 0;
  while (at < text.size()) {
    if (text[at] == '\n') {
      result += '\n';
      result.append(indent, ' ');
      column = 0;
      ++at;
      continue;
    }
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    size_t end = std::min(text.find_first_of(" \n", at), text.size());
    if (end - at > width) {  // a word longer than the line
      end = at + width;
      while (end > at + 1 && is_continuation(text[end])) --end;
    }
    const std::string_view word = text.substr(at, end - at);
    if (column > 0 && column + 1 + word.size() > width) {
      result += '\n';
      result.append(indent, ' ');
      column = 0;
    } else if (column > 0) {
      result += ' ';
      ++column;
    }
    result += word;
    column += word.size();
    at = end;
  }
  return result;
}

std::string table(const Terminal& terminal, const std::vector<std::vector<std::string>>& rows, size_t right,
                  size_t right_end) {
  std::vector<size_t> widths(rows.empty() ? 0 : rows[0].size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const bool number = i >= right && i < right_end;
      line += number ? fmt::format("{:>{}}  ", row[i], widths[i]) : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += (out.empty() ? styled(terminal, Style::bold, line) : line) + "\n";
  }
  return out;
}

std::string human_duration(double ms) {
  if (ms < 1) return fmt::format("{:.1f} ms", ms);
  if (ms < 1000) return fmt::format("{:.0f} ms", ms);
  if (ms < 60'000) return fmt::format("{:.1f} s", ms / 1000);
  const auto seconds = static_cast<int64_t>(ms / 1000);
  return fmt::format("{} min {} s", seconds / 60, seconds % 60);
}

bool write_out(std::string_view text) {
  return write_all(STDOUT_FILENO, text);
}
bool write_err(std::string_view text) {
  return write_all(STDERR_FILENO, text);
}

ProgressBar::ProgressBar(const Terminal& terminal, const base::Clock& clock, std::string label, int64_t total)
    : terminal_(terminal), clock_(clock), label_(std::move(label)), total_(total), start_(clock.now()) {}

void ProgressBar::advance(int64_t by) {
  done_ += by;
  if (!terminal_.err_is_terminal) return;
  const base::SteadyTime now = clock_.now();
  if (visible_ && done_ < total_ && now - drawn_ < base::Millis(100)) return;
  drawn_ = now;
  visible_ = true;
  write_err("\r\x1b[K" + line());
}

void ProgressBar::clear() {
  if (std::exchange(visible_, false)) write_err("\r\x1b[K");
}

std::string ProgressBar::line() const {
  constexpr size_t kCells = 24;
  const int64_t total = std::max<int64_t>(1, total_);
  const auto filled = static_cast<size_t>(std::clamp<int64_t>(done_, 0, total) * static_cast<int64_t>(kCells) / total);
  const double ms = std::chrono::duration<double, std::milli>(clock_.now() - start_).count();
  std::string result = fmt::format("{} [{}{}] {}/{}", label_, std::string(filled, '#'),
                                   std::string(kCells - filled, '.'), done_, total_);
  if (ms >= 1000) result += fmt::format("  {:.0f}/s", static_cast<double>(done_) * 1000 / ms);
  if (done_ > 0 && done_ < total_ && ms >= 2000) {
    result += "  " + human_duration(ms * static_cast<double>(total_ - done_) / static_cast<double>(done_)) + " left";
  }
  return result;
}

}  // namespace tessera::app
