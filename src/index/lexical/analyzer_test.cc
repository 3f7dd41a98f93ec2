#include "index/lexical/analyzer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tessera::index {
namespace {

TEST(Analyzer, StemsWhenAsked) {
  std::vector<std::string> terms;
  const TermSink keep = [&](std::string_view term) { terms.emplace_back(term); };
  analyze("Running Caf\u00e9s", false, keep);
  analyze("Running Caf\u00e9s", true, keep);
  EXPECT_EQ(terms, (std::vector<std::string>{"running", "cafes", "run", "cafe"}));
}

}  // namespace
}  // namespace tessera::index
