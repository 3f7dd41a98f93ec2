#include <gmock/gmock.h>

#include "parse/parse_testing.h"

namespace tessera::parse {
namespace {

core::ParsedDocument html(std::string_view source) {
  return parse_well(source, "text/html", "page.html");
}

TEST(Html, KeepsWhatIsReadAndDropsTheRest) {
  const auto document = html(
      "<!DOCTYPE html><html lang=en><head><title>The &amp; title</title><meta name=Description content='What it "
      "&quot;is&quot;'>"
      "<META NAME='author' CONTENT=Ada><style>p{}</style><script>var a = '<p>no</p>';</script></head><body>"
      "<nav><a href=/>Home</a><nav>x</nav>noise</nav><!-- <p>no</p> --><h1>Big <em>one</em></h1><p>First\n  "
      "paragraph&nbsp;here.</p>"
      "<p>Second &lt;b&gt; &copy; &#8364; &#x41; &bogus; "
      "&amp;amp;<br>line</p><h2>Part</h2><ul><li>one<li>two<ol><li>in</ol></ul>"
      "<pre><code>\n  keep   this\n    as is\n</code></pre><p hidden>no</p><footer>foot</footer></body></html>");
  EXPECT_EQ(document.text,
            "Big one\n\nFirst paragraph here.\n\nSecond <b> © € A &bogus; &amp;\nline\n\nPart\n\n- one\n- two\n  1. "
            "in\n\n  keep   this\n    as is");
  EXPECT_EQ(document.title, "The & title");
  EXPECT_EQ(outline(document), "1:Big one 2:Part");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("description")), "What it \"is\"");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")), "Ada");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("lang")), "en");
  ASSERT_EQ(document.structure.blocks.size(), 1U);
  EXPECT_EQ(block_text(document, 0), "  keep   this\n    as is");
}

TEST(Html, TablesBecomeRows) {
  const auto document =
      html("<p>x</p><table><tr><th>Name<th>Age<tr><td><p>Ada</p><td>36<br>years<tr><td><td>2</table>after");
  EXPECT_EQ(document.text, "x\n\nName | Age\nAda | 36 years\n | 2\n\nafter");
  EXPECT_EQ(block_text(document, 0), "Name | Age\nAda | 36 years\n | 2");
}

TEST(Html, LayoutTablesKeepTheirParagraphs) {
  const auto document = html("<table><tr><td><h1>T</h1><p>one</p><p>two</p></td></tr></table>");
  EXPECT_EQ(document.text, "T\n\none\n\ntwo");
  EXPECT_TRUE(document.structure.blocks.empty());
}

TEST(Html, OnlyMainIfThereIsOne) {
  EXPECT_EQ(html("<div>menu</div><main><p>text</p></main><div>foot</div>").text, "text");
  EXPECT_EQ(html("<div>menu</div><main></main>").text, "menu");
  EXPECT_EQ(html("<nav>all of the page").text, "all of the page");
}

TEST(Html, Charsets) {
  EXPECT_EQ(html("<p>caf\xE9 \x80").text, "café €");
  EXPECT_EQ(html("<p>caf\xC3\xA9").text, "café");
  EXPECT_EQ(parse_well("<p>caf\xE9 \xC3\xA9", "text/html; charset=\"ISO-8859-1\"").text, "café Ã©");
}

TEST(Html, NestingCostsNothing) {
  for (const std::string_view tag :
       {"div", "p", "table", "ul", "b", "pre", "nav", "main", "td", "li", "h1", "blockquote"}) {
    std::string text = "start ";
    for (int i = 0; i < 200'000; ++i) text.append("<").append(tag).append(">");
    text += "<div>deep";
    for (int i = 0; i < 200'000; ++i) text.append("</").append(tag).append(">");
    EXPECT_THAT(html(text).text, testing::HasSubstr(tag == "nav" ? "start" : "deep")) << tag;
  }
}

TEST(Html, HostileInputIsLinear) {
  for (const std::string_view piece : {"<", "</", "<!--", "<a href=\"", "<a b=c ", "&", "&#", "<script>", "</script",
                                       "<title>", "<![CDATA[", "<!DOCTYPE [", "<p", "\"'>", "<td>x", "<ol><li>"}) {
    std::string text = "x ";
    while (text.size() < 2'000'000) text += piece;
    html(text);
  }
}

TEST(Html, NoTextIsNoDocument) {
  EXPECT_EQ(parse_badly("<html><body><script>x</script><img src=a></body></html>", "text/html").name, "EMPTY_DOCUMENT");
  EXPECT_EQ(parse_badly("<p>&#0;", "text/html", "", {.text_bytes_max = 2}).name, "DOCUMENT_TOO_LARGE");
}

}  // namespace
}  // namespace tessera::parse
