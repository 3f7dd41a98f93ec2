#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tessera::wire {

struct MultipartLimits {
  size_t parts_max = 64;
  size_t part_header_bytes_max = 8 * 1024;
  size_t part_bytes_max = SIZE_MAX;
};

/// One part of a form. `body` points into the parsed body.
struct MultipartPart {
  std::string name;
  std::string file_name;     ///< filename* when given (decoded), else filename; the sender's words: never a path to use
  bool is_file = false;      ///< a file name was given, even an empty one
  std::string content_type;  ///< empty when not given
  std::string_view body;
};

/// The boundary of a "multipart/form-data; boundary=..." Content-Type. Errors: invalid BAD_MULTIPART.
base::Result<std::string> multipart_boundary(std::string_view content_type);

/// Splits a whole body (RFC 7578). Errors: invalid BAD_MULTIPART, too_large MULTIPART_TOO_LARGE.
base::Result<std::vector<MultipartPart>> parse_multipart(std::string_view body, std::string_view boundary,
                                                         const MultipartLimits& limits = {});

}  // namespace tessera::wire
