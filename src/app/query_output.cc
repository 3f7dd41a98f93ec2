#include "app/query_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

namespace tessera::app {
namespace {

namespace json = boost::json;

constexpr size_t kSnippetBytes = 320;

// The first bytes of a passage on one line, cut at a blank.
std::string snippet(std::string_view text) {
  std::string line = harmless(text, false);
  if (line.size() <= kSnippetBytes) return line;
  size_t end = line.rfind(' ', kSnippetBytes);
  if (end == std::string::npos || end < kSnippetBytes / 2) {
    end = kSnippetBytes;
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0U) == 0x80U) --end;
  }
  line.resize(end);
  return line + " ...";
}

std::string title_or_id(const std::string& title, const std::string& document_id) {
  return harmless(title.empty() ? document_id : title, false);
}

json::array texts(const std::vector<std::string>& values) {
  return json::array(values.begin(), values.end());
}

std::string degraded_note(const std::vector<std::string>& degraded, const Terminal& terminal) {
  if (degraded.empty()) return {};
  std::string parts;
  for (const std::string& part : degraded) parts += (parts.empty() ? "" : ", ") + part;
  return styled(terminal, Style::yellow, "Left out, so there may be more: " + parts) + "\n";
}

}  // namespace

std::string search_text(const SearchAnswer& answer, const Terminal& terminal) {
  if (answer.results.empty()) return degraded_note(answer.degraded, terminal) + "Nothing found.\n";
  std::string out;
  size_t rank = 0;
  for (const FoundPassage& found : answer.results) {
    out += fmt::format(
        "{} {}  {}\n   {}\n\n", styled(terminal, Style::cyan, fmt::format("{}.", ++rank)),
        styled(terminal, Style::bold, title_or_id(found.title, found.document_id)),
        styled(terminal, Style::dim, fmt::format("{:.3f}  {}", found.score, harmless(found.chunk_id, false))),
        wrapped(snippet(found.text), terminal.width - 3, 3));
  }
  out += degraded_note(answer.degraded, terminal);
  return out + styled(terminal, Style::dim, human_duration(answer.took_ms)) + "\n";
}

std::string search_json(const SearchAnswer& answer) {
  json::array results;
  for (const FoundPassage& found : answer.results) {
    results.push_back(json::object{{"document_id", found.document_id},
                                   {"chunk_id", found.chunk_id},
                                   {"title", found.title},
                                   {"text", found.text},
                                   {"score", found.score},
                                   {"start", found.start},
                                   {"end", found.end}});
  }
  return json::serialize(
      json::object{{"results", std::move(results)}, {"took_ms", answer.took_ms}, {"degraded", texts(answer.degraded)}});
}

std::string answer_text(const Answer& answer, const Terminal& terminal, bool printed) {
  std::string out = printed ? "\n" : harmless(answer.text) + "\n";
  if (!answer.sources.empty()) out += "\n" + styled(terminal, Style::bold, "Sources") + "\n";
  for (const AnswerSource& source : answer.sources) {
    out += fmt::format(" {} {}\n     {}\n", styled(terminal, Style::cyan, fmt::format("[{}]", source.n)),
                       title_or_id(source.title, source.document_id),
                       styled(terminal, Style::dim, wrapped(snippet(source.snippet), terminal.width - 5, 5)));
  }
  out += degraded_note(answer.degraded, terminal);
  double total = 0;
  std::string stages;
  for (const auto& [stage, ms] : answer.timings) {
    if (stage == "total") {
      total = ms;
    } else {
      stages += fmt::format("{}{} {}", stages.empty() ? "" : ", ", stage, human_duration(ms));
    }
  }
  std::string footer = harmless(answer.model, false);
  if (total > 0) footer += ", " + human_duration(total);
  if (!stages.empty()) footer += " (" + stages + ")";
  return out + "\n" + styled(terminal, Style::dim, footer) + "\n";
}

std::string answer_json(const Answer& answer) {
  json::array sources;
  for (const AnswerSource& source : answer.sources) {
    sources.push_back(json::object{
        {"n", source.n}, {"document_id", source.document_id}, {"title", source.title}, {"snippet", source.snippet}});
  }
  json::object timings;
  for (const auto& [stage, ms] : answer.timings) timings[stage] = ms;
  return json::serialize(json::object{{"session_id", answer.session_id},
                                      {"answer", answer.text},
                                      {"sources", std::move(sources)},
                                      {"model", answer.model},
                                      {"timings", std::move(timings)},
                                      {"degraded", texts(answer.degraded)}});
}

}  // namespace tessera::app
