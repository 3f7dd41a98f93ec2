#include <md4c.h>

#include "base/random.h"
#include "parse/parse_testing.h"
#include "parse/text_builder.h"

namespace tessera::parse {
namespace {

/// md4c's view of a document: the headings outside quotes and lists, as "level:text", and how many code blocks and
/// tables there.
struct Model {
  std::string outline;
  size_t blocks = 0;
  int containers = 0;
  bool in_heading = false;
  std::string title;
};

int enter_block(MD_BLOCKTYPE type, void* detail, void* user) {
  auto& model = *static_cast<Model*>(user);
  if (type == MD_BLOCK_QUOTE || type == MD_BLOCK_LI) ++model.containers;
  if (type == MD_BLOCK_H && model.containers == 0) {
    model.in_heading = true;
    model.title = fmt::format("{}:", static_cast<MD_BLOCK_H_DETAIL*>(detail)->level);
  }
  if ((type == MD_BLOCK_CODE || type == MD_BLOCK_TABLE) && model.containers == 0) ++model.blocks;
  return 0;
}

int leave_block(MD_BLOCKTYPE type, void*, void* user) {
  auto& model = *static_cast<Model*>(user);
  if (type == MD_BLOCK_QUOTE || type == MD_BLOCK_LI) --model.containers;
  if (type == MD_BLOCK_H && model.in_heading) {
    model.in_heading = false;
    std::erase_if(model.title, [](char c) { return c == '`' || c == '*'; });  // unmatched ones; plain titles hold none
    model.title = model.title.substr(0, 2) + one_line(std::string_view(model.title).substr(2), 512);
    if (!model.title.ends_with(':')) model.outline += (model.outline.empty() ? "" : " ") + model.title;
  }
  return 0;
}

int span(MD_SPANTYPE, void*, void*) {
  return 0;
}

int text_piece(MD_TEXTTYPE type, const MD_CHAR* text, MD_SIZE size, void* user) {
  auto& model = *static_cast<Model*>(user);
  if (!model.in_heading) return 0;
  if (type == MD_TEXT_SOFTBR || type == MD_TEXT_BR) {
    model.title += ' ';
  } else {
    model.title.append(text, size);
  }
  return 0;
}

Model read_with_md4c(const std::string& source) {
  Model model;
  MD_PARSER parser{};
  parser.flags = MD_FLAG_TABLES;
  parser.enter_block = enter_block;
  parser.leave_block = leave_block;
  parser.enter_span = span;
  parser.leave_span = span;
  parser.text = text_piece;
  EXPECT_EQ(md_parse(source.data(), static_cast<MD_SIZE>(source.size()), &parser, &model), 0);
  return model;
}

/// Random documents of top-level blocks from `lines`: headings, code and tables are where a full CommonMark parser sees
/// them.
void compare_on_random_documents(const std::vector<std::string>& lines, uint64_t seed) {
  base::SeededRandom random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::string source = "start\n\n";
    for (uint64_t i = random.below(10); i > 0; --i) source += lines[random.below(lines.size())] + "\n";
    const Model model = read_with_md4c(source);
    const auto document = parse_well(source, "text/markdown");
    ASSERT_EQ(outline(document), model.outline) << source;
    ASSERT_EQ(document.structure.blocks.size(), model.blocks) << source;
  }
}

TEST(MarkdownModel, HeadingsAndCode) {
  compare_on_random_documents(
      {"# one",     "## two ##", "### three", "   # indented", "#none",         "####### seven", "text",
       "more text", "",          "",          "```",           "```cpp",        "~~~",           "````",
       "===",       "---",       "***",       "    code",      "* * *",         "    # code",    "#",
       "# `x` y",   "``` `x`",   "  ===",     "text  ",        "# esc \\# a #", "\t# tab"},
      5);
}

TEST(MarkdownModel, Comments) {
  compare_on_random_documents(
      {"# one", "text", "", "```", "===", "---", "***", "<!-- c", "end -->", "<!-- c -->", "  <!-- # d", "a <!-- b"},
      7);
}

// md4c lets a table run over headings and code, where GFM ends it, and wants its head to be a paragraph's first line;
// so tables are compared among text, after empty lines.
TEST(MarkdownModel, Tables) {
  compare_on_random_documents({"\n| a | b |\n|---|---|", "\na | b\n--- | ---", "\n| x \\| y | z |\n| :-: | --: |", "",
                               "text", "| a |", "a | b"},
                              6);
}

}  // namespace
}  // namespace tessera::parse
