#include "text/query_marks.h"

#include "text/utf8.h"

namespace tessera::text {

bool QueryMarks::next(MarkedText& item) {
  while (at_ < query_.size() && is_space(query_[at_])) ++at_;
  if (at_ == query_.size()) return false;
  item = {};
  if ((query_[at_] == '+' || query_[at_] == '-') && at_ + 1 < query_.size() && !is_space(query_[at_ + 1])) {
    item.mark = query_[at_] == '+' ? MarkedText::Mark::required : MarkedText::Mark::excluded;
    ++at_;
  }
  if (query_[at_] == '"') {
    const size_t close = quotes_ ? query_.find('"', at_ + 1) : std::string_view::npos;
    if (close != std::string_view::npos) {
      item.text = query_.substr(at_ + 1, close - at_ - 1);
      item.phrase = true;
      at_ = close + 1;
      return true;
    }
    quotes_ = false;
    ++at_;
  }
  const size_t start = at_;
  while (at_ < query_.size() && !is_space(query_[at_]) && (query_[at_] != '"' || !quotes_)) ++at_;
  item.text = query_.substr(start, at_ - start);
  item.prefix = item.text.size() > 1 && item.text.ends_with('*');
  if (item.prefix) item.text.remove_suffix(1);
  return true;
}

}  // namespace tessera::text
