#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/clock.h"
#include "base/random.h"
#include "parse/child_process.h"
#include "parse/parse_testing.h"

namespace tessera::parse {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

/// A PDF of one line of text per page, written by hand.
std::string make_pdf(const std::vector<std::vector<std::string>>& pages, const std::string& info = "") {
  std::vector<std::string> objects = {"<< /Type /Catalog /Pages 2 0 R >>", "",
                                      "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
                                      info.empty() ? "<< >>" : info};
  std::string kids;
  for (const auto& lines : pages) {
    std::string stream = "BT /F1 12 Tf 72 720 Td";
    for (const std::string& line : lines) stream += fmt::format(" ({}) Tj 0 -14 Td", line);
    stream += " ET";
    objects.push_back(fmt::format("<< /Length {} >>\nstream\n{}\nendstream", stream.size(), stream));
    objects.push_back(
        fmt::format("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R /Resources << /Font << /F1 "
                    "3 0 R >> >> >>",
                    objects.size()));
    kids += fmt::format("{} 0 R ", objects.size());
  }
  objects[1] = fmt::format("<< /Type /Pages /Kids [{}] /Count {} >>", kids, pages.size());
  std::string out = "%PDF-1.4\n";
  std::string table = fmt::format("xref\n0 {}\n0000000000 65535 f \n", objects.size() + 1);
  for (size_t i = 0; i < objects.size(); ++i) {
    table += fmt::format("{:010} 00000 n \n", out.size());
    out += fmt::format("{} 0 obj\n{}\nendobj\n", i + 1, objects[i]);
  }
  const size_t start = out.size();
  return out + table +
         fmt::format("trailer\n<< /Size {} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{}\n%%EOF\n", objects.size() + 1,
                     start);
}

/// A shell script in place of pdftotext.
class FakeReader {
 public:
  explicit FakeReader(const std::string& body) {
    std::string pattern = testing::TempDir() + "reader-XXXXXX";
    const int fd = mkstemp(pattern.data());
    path_ = pattern;
    const std::string script = "#!/bin/sh\n" + body + "\n";
    EXPECT_EQ(::write(fd, script.data(), script.size()), static_cast<ssize_t>(script.size()));
    ::fchmod(fd, 0700);
    ::close(fd);
  }
  ~FakeReader() { std::filesystem::remove(path_); }
  FakeReader(const FakeReader&) = delete;
  FakeReader& operator=(const FakeReader&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] ParseLimits limits(milliseconds timeout = milliseconds(20000)) const {
    ParseLimits limits;
    limits.pdftotext_path = path_;
    limits.pdf_timeout = timeout;
    return limits;
  }

 private:
  std::string path_;
};

const std::string kTiny = "%PDF-1.4\n%%EOF\n";

/// Whether a process is gone or only waits to be reaped; killing is asynchronous, so it is asked for up to ten seconds.
bool ends_soon(int pid) {
  for (int i = 0; i < 1000; ++i) {
    std::ifstream stat(fmt::format("/proc/{}/stat", pid));
    std::string line;
    if (!std::getline(stat, line)) return true;
    const size_t close = line.rfind(')');
    if (close != std::string::npos && line.compare(close, 3, ") Z") == 0) return true;
    ::poll(nullptr, 0, 10);
  }
  return false;
}

TEST(Pdf, TextPagesTitleAndAuthor) {
  const auto document =
      parse_well(make_pdf({{"First exam-", "ple \\(page\\) </pre> <b>", "Ends here."}, {"Second page."}},
                          "<< /Title (The \\(big\\) <one>) /Author (Ada & Co) >>"),
                 "application/pdf");
  EXPECT_EQ(document.text, "First example (page) </pre> <b>\nEnds here.\n\nSecond page.");
  EXPECT_EQ(document.title, "The (big) <one>");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")), "Ada & Co");
  EXPECT_EQ(std::get<int64_t>(document.metadata.at("pages")), 2);
  EXPECT_EQ(document.content_type, "application/pdf");
}

TEST(Pdf, EncryptedTruncatedAndForeign) {
  std::ifstream file(std::string(TESSERA_SOURCE_DIR) + "/src/parse/testdata/encrypted.pdf");
  std::stringstream encrypted;
  encrypted << file.rdbuf();
  ASSERT_GT(encrypted.str().size(), 100U);
  EXPECT_EQ(parse_badly(encrypted.str(), "application/pdf").name, "ENCRYPTED_DOCUMENT");
  const std::string whole = make_pdf({{"text"}});
  for (const size_t keep : {size_t{0}, size_t{4}, size_t{9}, whole.size() / 2, whole.size() - 7}) {
    const auto error = parse_badly(whole.substr(0, keep), "application/pdf");
    EXPECT_EQ(error.name, "UNREADABLE_DOCUMENT") << keep;
    EXPECT_EQ(error.code, base::Code::unreadable);
  }
  EXPECT_EQ(parse_badly("hello", "application/pdf").name, "UNREADABLE_DOCUMENT");
  EXPECT_EQ(parse_badly("%PDF-1.4\ngarbage\n%%EOF\n", "application/pdf").name, "UNREADABLE_DOCUMENT");
  EXPECT_EQ(parse_badly(make_pdf({{}}), "application/pdf").name, "EMPTY_DOCUMENT");
}

TEST(Pdf, DamagedBytesNeverCrash) {
  const std::string whole = make_pdf({{"some text here"}, {"more"}}, "<< /Title (T) >>");
  base::SeededRandom random(7);
  const auto parser = create_parser({});
  for (int i = 0; i < 20; ++i) {
    std::string damaged = whole;
    for (int j = 0; j < 8; ++j) damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    const auto document = parser->parse({.bytes = damaged, .content_type = "application/pdf", .name = ""});
    if (document) EXPECT_EQ(violated_invariant(*document), "");
  }
}

TEST(Pdf, AReaderThatRunsForEverIsStopped) {
  const FakeReader reader("while :; do :; done");
  const base::SystemClock clock;
  const auto start = clock.now();
  const auto error = parse_badly(kTiny, "application/pdf", "", reader.limits(milliseconds(200)));
  EXPECT_EQ(error.name, "DOCUMENT_TIMEOUT");
  EXPECT_EQ(error.code, base::Code::unreadable);
  EXPECT_LT(clock.now() - start, std::chrono::seconds(10));
}

TEST(Pdf, AReaderThatPrintsForEverIsStopped) {
  const FakeReader reader("exec cat /dev/zero");
  auto limits = reader.limits();
  limits.text_bytes_max = 1UL << 20;
  EXPECT_EQ(parse_badly(kTiny, "application/pdf", "", limits).name, "DOCUMENT_TOO_LARGE");
}

TEST(Pdf, AReaderThatComplainsForEverIsStopped) {
  const FakeReader reader("exec cat /dev/zero >&2");
  EXPECT_EQ(parse_badly(kTiny, "application/pdf", "", reader.limits(milliseconds(200))).name, "DOCUMENT_TIMEOUT");
}

TEST(Pdf, AReaderThatNeedsTooMuchMemoryFails) {
  const FakeReader reader("x=$(head -c 300000000 /dev/zero | tr '\\0' a); echo ${#x}");
  auto limits = reader.limits();
  limits.pdf_memory_max = 64UL << 20;
  EXPECT_EQ(parse_badly(kTiny, "application/pdf", "", limits).name, "UNREADABLE_DOCUMENT");
}

TEST(Pdf, AMissingReaderIsNamed) {
  ParseLimits limits;
  limits.pdftotext_path = "/nonexistent/pdftotext";
  const auto error = parse_badly(kTiny, "application/pdf", "", limits);
  EXPECT_EQ(error.code, base::Code::unavailable);
  EXPECT_THAT(error.message, HasSubstr("poppler-utils"));
}

TEST(ChildProcess, ItsWholeGroupEndsWithIt) {
  // Descendants that keep the pipes open: the parent stays in one case and leaves in the other.
  for (const std::string last : {"wait", "exit 0"}) {
    const FakeReader script("sleep 1000 & echo $!\n(sleep 1000 & echo $!; wait) &\necho $$\n" + last);
    const auto run = run_confined({script.path()}, "", {.wall_time = milliseconds(last == "wait" ? 500 : 20000)});
    ASSERT_TRUE(run.has_value());
    EXPECT_EQ(run->end, last == "wait" ? ChildResult::End::timed_out : ChildResult::End::exited);
    std::istringstream pids(run->output);
    int pid = 0;
    int seen = 0;
    while (pids >> pid) {
      EXPECT_TRUE(ends_soon(pid));
      ++seen;
    }
    EXPECT_GE(seen, last == "wait" ? 3 : 2);
  }
}

TEST(ChildProcess, GetsNothingButItsInput) {
  const auto environment = run_confined({"/usr/bin/env"}, "", {});
  ASSERT_TRUE(environment.has_value());
  EXPECT_EQ(environment->output, "");
  EXPECT_EQ(environment->status, 0);
  const int leaked = ::open("/dev/null", O_RDONLY);  // without close-on-exec
  const auto descriptors = run_confined({"ls", "/proc/self/fd"}, "", {});
  ::close(leaked);
  ASSERT_TRUE(descriptors.has_value());
  EXPECT_EQ(descriptors->output, "0\n1\n2\n3\n");  // 3 is the directory being listed
  const std::string input(3'000'000, 'x');
  const auto copied = run_confined({"cat"}, input, {});
  ASSERT_TRUE(copied.has_value());
  EXPECT_EQ(copied->output, input);
}

TEST(ChildProcess, CannotWriteFiles) {
  const FakeReader script("echo text > \"$0.out\"; cat \"$0.out\"; rm -f \"$0.out\"");
  const auto run = run_confined({script.path()}, "", {});
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->output, "");
}

TEST(ChildProcess, ReportsHowItEnded) {
  const FakeReader exits("echo out; echo err >&2; exit 7");
  const auto exited = run_confined({exits.path()}, "", {});
  ASSERT_TRUE(exited.has_value());
  EXPECT_EQ(exited->end, ChildResult::End::exited);
  EXPECT_EQ(exited->status, 7);
  EXPECT_EQ(exited->output, "out\n");
  EXPECT_EQ(exited->diagnostics, "err\n");
  const FakeReader dies("kill -SEGV $$");
  const auto died = run_confined({dies.path()}, "", {});
  ASSERT_TRUE(died.has_value());
  EXPECT_EQ(died->end, ChildResult::End::killed_by_signal);
  EXPECT_EQ(died->status, SIGSEGV);
}

}  // namespace
}  // namespace tessera::parse
