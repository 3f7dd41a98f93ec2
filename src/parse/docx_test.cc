#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include "base/random.h"
#include "parse/parse_testing.h"

namespace tessera::parse {
namespace {

using testing::HasSubstr;
using Files = std::vector<std::pair<std::string, std::string>>;

const std::string kDocx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

std::string zip(const Files& files) {
  std::string out(1UL << 20, '\0');
  for (const auto& [name, content] : files) out.resize(out.size() + name.size() * 3 + content.size() / 10 + 1000);
  size_t used = 0;
  archive* a = archive_write_new();
  archive_write_set_format_zip(a);
  archive_write_open_memory(a, out.data(), out.size(), &used);
  for (const auto& [name, content] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    EXPECT_EQ(archive_write_header(a, entry), ARCHIVE_OK);
    EXPECT_EQ(archive_write_data(a, content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
    archive_entry_free(entry);
  }
  EXPECT_EQ(archive_write_close(a), ARCHIVE_OK);
  archive_write_free(a);
  out.resize(used);
  return out;
}

std::string body(const std::string& inner) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><w:document "
         "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body>" +
         inner + "<w:sectPr/></w:body></w:document>";
}

std::string paragraph(const std::string& text, const std::string& properties = "") {
  return "<w:p>" + (properties.empty() ? "" : "<w:pPr>" + properties + "</w:pPr>") +
         "<w:r><w:t xml:space=\"preserve\">" + text + "</w:t></w:r></w:p>";
}

std::string docx(const std::string& inner) {
  return zip({{"[Content_Types].xml", "<Types/>"}, {"word/document.xml", body(inner)}});
}

TEST(Docx, ParagraphsHeadingsListsAndTables) {
  const std::string inner =
      paragraph("The report", "<w:pStyle w:val=\"Title\"/>") + paragraph("Intro", "<w:pStyle w:val=\"berschrift1\"/>") +
      "<w:p><w:r><w:t>Split </w:t></w:r><w:r><w:t>run &amp; "
      "tab</w:t><w:tab/><w:t>x</w:t><w:br/><w:t>next</w:t></w:r><w:r><w:delText>gone</w:delText></w:r></w:p>" +
      paragraph("a", "<w:numPr><w:ilvl w:val=\"0\"/><w:numId w:val=\"1\"/></w:numPr>") +
      paragraph("b", "<w:numPr><w:ilvl w:val=\"1\"/></w:numPr>") + paragraph("Sub", "<w:pStyle w:val=\"Derived\"/>") +
      "<w:tbl><w:tr><w:tc>" + paragraph("n") + paragraph("m") + "</w:tc><w:tc>" + paragraph("v") +
      "</w:tc></w:tr><w:tr><w:tc><w:p/></w:tc><w:tc>" + paragraph("2", "<w:pStyle w:val=\"Title\"/>") +
      "</w:tc></w:tr></w:tbl>" +
      "<w:p><mc:AlternateContent><mc:Choice><w:t>once</w:t></mc:Choice><mc:Fallback><w:t>once</w:t></mc:Fallback></"
      "mc:AlternateContent></w:p>";
  const std::string styles =
      "<w:styles><w:style w:styleId=\"berschrift1\"><w:name w:val=\"heading 1\"/></w:style><w:style "
      "w:styleId=\"Base\"><w:basedOn w:val=\"Derived\"/>"
      "<w:pPr><w:outlineLvl w:val=\"2\"/></w:pPr></w:style><w:style w:styleId=\"Derived\"><w:basedOn "
      "w:val=\"Base\"/></w:style></w:styles>";
  const std::string core =
      "<cp:coreProperties><dc:title>Core &lt;title&gt;</dc:title><dc:creator>Ada</dc:creator></cp:coreProperties>";
  const auto document = parse_well(zip({{"word/document.xml", body(inner)},
                                        {"word/styles.xml", styles},
                                        {"docProps/core.xml", core},
                                        {"../../evil", "x"}}),
                                   kDocx, "r.docx");
  EXPECT_EQ(document.text,
            "The report\n\nIntro\n\nSplit run & tab x\nnext\n\n- a\n  - b\n\nSub\n\nn m | v\n | 2\n\nonce");
  EXPECT_EQ(outline(document), "1:The report 1:Intro 3:Sub");
  EXPECT_EQ(block_text(document, 0), "n m | v\n | 2");
  EXPECT_EQ(document.title, "Core <title>");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")), "Ada");
}

TEST(Docx, IsRecognisedByItsBytes) {
  const auto document =
      parse_well(docx(paragraph("Head", "<w:pStyle w:val=\"Heading1\"/>") + paragraph("text")), "", "upload.bin");
  EXPECT_EQ(document.content_type, kDocx);
  EXPECT_EQ(document.title, "Head");
}

TEST(Docx, EntitiesDoNotExpand) {
  const std::string bomb =
      "<?xml version=\"1.0\"?><!DOCTYPE d [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY "
      "x SYSTEM \"file:///etc/passwd\">]>"
      "<w:document><w:p><w:t>&b;&x; end</w:t></w:p></w:document>";
  EXPECT_EQ(parse_well(zip({{"word/document.xml", bomb}}), kDocx).text, "&b;&x; end");
}

TEST(Docx, Bombs) {
  const auto too_large = [](const std::string& bytes, const ParseLimits& limits) {
    const auto error = parse_badly(bytes, kDocx, "", limits);
    EXPECT_EQ(error.code, base::Code::too_large);
    return error.name;
  };
  const std::string ratio = docx(paragraph(std::string(30'000'000, 'x')));
  ASSERT_LT(ratio.size(), 100'000U);
  EXPECT_EQ(too_large(ratio, {}), "DOCUMENT_TOO_LARGE");
  EXPECT_EQ(too_large(docx(paragraph(std::string(900'000, 'x'))), {.archive_entry_bytes_max = 100'000}),
            "DOCUMENT_TOO_LARGE");
  EXPECT_EQ(too_large(docx(paragraph(std::string(900'000, 'x'))), {.text_bytes_max = 100'000}), "DOCUMENT_TOO_LARGE");
  Files many;
  for (int i = 0; i < 5000; ++i) many.emplace_back(fmt::format("word/media/{}.png", i), "x");
  many.emplace_back("word/document.xml", body(paragraph("text")));
  EXPECT_EQ(too_large(zip(many), {}), "DOCUMENT_TOO_LARGE");
  // A large part we do not read is not unpacked.
  EXPECT_EQ(parse_well(zip({{"word/media/a.bmp", std::string(30'000'000, 'x')},
                            {"word/document.xml", body(paragraph("text"))}}),
                       kDocx)
                .text,
            "text");
}

TEST(Docx, DamagedFiles) {
  const std::string whole = docx(paragraph("some text that is long enough to be damaged in the middle of it"));
  const auto unreadable = [](const std::string& bytes) {
    const auto error = parse_badly(bytes, kDocx);
    EXPECT_EQ(error.code, base::Code::unreadable);
    return error.name;
  };
  EXPECT_EQ(unreadable(""), "UNREADABLE_DOCUMENT");
  EXPECT_EQ(unreadable("not a zip at all"), "UNREADABLE_DOCUMENT");
  for (size_t keep = 4; keep < whole.size(); keep += 37)
    EXPECT_EQ(unreadable(whole.substr(0, keep)), "UNREADABLE_DOCUMENT") << keep;
  EXPECT_EQ(unreadable(zip({{"other.xml", "<a/>"}})), "UNREADABLE_DOCUMENT");
  EXPECT_EQ(unreadable(zip({{"word/document.xml", "<w:p><w:t>x</w:t>"}})), "UNREADABLE_DOCUMENT");
  EXPECT_EQ(unreadable(zip({{"word/document.xml", "<w:p><w:t>x</w:p></w:t>"}})), "UNREADABLE_DOCUMENT");
  std::string deep = "text";
  for (int i = 0; i < 10'000; ++i) deep += "<w:p>";
  EXPECT_EQ(unreadable(zip({{"word/document.xml", deep}})), "UNREADABLE_DOCUMENT");
  EXPECT_EQ(unreadable(docx("")), "EMPTY_DOCUMENT");
  const std::string old = std::string("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") + std::string(600, '\0');
  EXPECT_EQ(unreadable(old), "UNREADABLE_DOCUMENT");
  std::string encrypted = old;
  for (const char c : std::string("EncryptedPackage")) encrypted.append(1, c).append(1, '\0');
  EXPECT_EQ(unreadable(encrypted), "ENCRYPTED_DOCUMENT");
}

TEST(Docx, DamagedBytesNeverCrash) {
  const std::string whole = docx(paragraph("Head", "<w:pStyle w:val=\"Heading1\"/>") + paragraph("text"));
  base::SeededRandom random(11);
  const auto parser = create_parser({});
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = whole;
    for (uint64_t j = random.below(6) + 1; j > 0; --j)
      damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    const auto document = parser->parse({.bytes = damaged, .content_type = kDocx, .name = ""});
    if (document) EXPECT_EQ(violated_invariant(*document), "");
  }
}

}  // namespace
}  // namespace tessera::parse
