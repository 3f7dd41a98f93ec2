#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/retriever.h"
#include "rag/fusion.h"

namespace tessera::rag {

/// What is looked for in a query with marks (text/query_marks.h): its words without the marks and without what is
/// excluded, one space between: for comparing meanings, which know no exclusion. Linear; never fails.
std::string words_of_marked(std::string_view query);

/// Whether `syntax`, `recall` and `ef` make sense together and with the mode; marks must leave something to look for.
/// Errors: invalid INVALID_FIELD with the field's name, saying what to do.
base::Result<> check_engine_choice(const core::RetrievalRequest& request);

/// Drops what `lexical` does not have; the others keep their order and scores.
void keep_matches(std::vector<Ranked>& ranked, const std::vector<core::IndexHit>& lexical);

}  // namespace tessera::rag
