#pragma once

#include <string_view>

namespace tessera::text::testing {

/// JSON's grammar word for word, one byte at a time, for comparison: the plainest recogniser there is.
class JsonReference {
 public:
  static bool accepts(std::string_view text) {
    JsonReference reader{text};
    return reader.element(0) && reader.at_ == text.size();
  }

 private:
  explicit JsonReference(std::string_view text) : text_(text) {}

  char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool eat(char c) { return at_ < text_.size() && text_[at_] == c && ++at_ > 0; }
  void space() {
    while (eat(' ') || eat('\n') || eat('\r') || eat('\t')) {
    }
  }
  bool word(std::string_view expected) {
    for (const char c : expected) {
      if (!eat(c)) return false;
    }
    return true;
  }
  bool digit() { return here() >= '0' && here() <= '9' && ++at_ > 0; }
  bool digits() {
    if (!digit()) return false;
    while (digit()) {
    }
    return true;
  }
  bool hex() {
    const char c = here();
    return ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) && ++at_ > 0;
  }
  bool number() {
    eat('-');
    if (!eat('0') && !digits()) return false;
    if (eat('.') && !digits()) return false;
    if (eat('e') || eat('E')) {
      if (!eat('+')) eat('-');
      return digits();
    }
    return true;
  }
  bool string() {
    if (!eat('"')) return false;
    while (at_ < text_.size()) {
      if (eat('"')) return true;
      if (static_cast<unsigned char>(here()) < 0x20) return false;
      if (!eat('\\')) {
        ++at_;
      } else if (eat('u')) {
        if (!(hex() && hex() && hex() && hex())) return false;
      } else if (!(eat('"') || eat('\\') || eat('/') || eat('b') || eat('f') || eat('n') || eat('r') || eat('t'))) {
        return false;
      }
    }
    return false;
  }
  bool list(char end, int depth, bool members) {
    space();
    if (eat(end)) return true;
    do {
      space();
      if (members) {
        if (!string()) return false;
        space();
        if (!eat(':')) return false;
      }
      if (!element(depth + 1)) return false;
    } while (eat(','));
    return eat(end);
  }
  bool value(int depth) {
    switch (here()) {
      case '{':
        return depth < 512 && eat('{') && list('}', depth, true);
      case '[':
        return depth < 512 && eat('[') && list(']', depth, false);
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }
  bool element(int depth) {
    space();
    if (!value(depth)) return false;
    space();
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace tessera::text::testing
