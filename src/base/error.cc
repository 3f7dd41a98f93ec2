#include "base/error.h"

#include <utility>

namespace tessera::base {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::invalid:
      return "invalid";
    case Code::too_large:
      return "too_large";
    case Code::unreadable:
      return "unreadable";
    case Code::not_found:
      return "not_found";
    case Code::conflict:
      return "conflict";
    case Code::unauthenticated:
      return "unauthenticated";
    case Code::forbidden:
      return "forbidden";
    case Code::budget:
      return "budget";
    case Code::exhausted:
      return "exhausted";
    case Code::unavailable:
      return "unavailable";
    case Code::deadline:
      return "deadline";
    case Code::cancelled:
      return "cancelled";
    case Code::upstream:
      return "upstream";
    case Code::internal:
      return "internal";
  }
  return "internal";
}

Error make_error(Code code, std::string name, std::string message, std::string detail, std::string param) {
  return Error{.code = code,
               .name = std::move(name),
               .message = std::move(message),
               .detail = std::move(detail),
               .param = std::move(param),
               .retry_after = {}};
}

}  // namespace tessera::base
