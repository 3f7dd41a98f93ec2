#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::parse {

/// A piece of HTML or XML. `name` is as written for XML, lower case for HTML; `attributes` is the raw text after the
/// name.
struct MarkupToken {
  enum class Kind { text, open, close };
  Kind kind = Kind::text;
  std::string_view name = {};
  std::string_view attributes = {};
  std::string_view text = {};  ///< raw, entities not decoded (see append_decoded)
  bool self_closing = false;
  bool literal = false;  ///< text of a CDATA section or a script: holds no entities
};

/// Cuts markup into tokens without building a tree: no recursion, linear time, constant memory, every input accepted.
/// Comments, doctypes and processing instructions are skipped. Follows the WHATWG tokenizer where text extraction needs
/// it: raw text elements (script, style, ...), unclosed constructs run to the end. Views point into the input, except
/// an HTML `name`, which is valid until the next call.
class MarkupScanner {
 public:
  enum class Dialect { html, xml };
  MarkupScanner(std::string_view input, Dialect dialect) : input_(input), dialect_(dialect) {}
  bool next(MarkupToken& token);
  /// Whether the input ended inside a tag, comment or CDATA section.
  [[nodiscard]] bool truncated() const { return truncated_; }

 private:
  bool tag(MarkupToken& token);
  bool declaration(MarkupToken& token);
  bool raw_text(MarkupToken& token);
  std::string_view until(std::string_view terminator, size_t from);

  std::string_view input_;
  Dialect dialect_;
  size_t pos_ = 0;
  bool truncated_ = false;
  std::string name_;
  std::string raw_element_;  // not empty: inside <script> and the like
};

/// The raw value of an attribute (names compare without case), or nothing. Linear in the tag.
std::optional<std::string_view> find_attribute(std::string_view attributes, std::string_view name);

/// Appends `raw` with character references decoded; unknown ones stay as written, &nbsp; becomes a space, &shy;
/// nothing. Only predefined and numeric ones exist, so no entity can expand.
void append_decoded(std::string& out, std::string_view raw);

/// The code point of an HTML entity's name without "&" and ";", or 0.
char32_t html_entity(std::string_view name);

}  // namespace tessera::parse
