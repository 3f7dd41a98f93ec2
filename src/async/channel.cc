#include "async/channel.h"

namespace tessera::async {

base::Error wait_error(Wake why) {
  if (why == Wake::deadline) {
    return base::make_error(base::Code::deadline, "DEADLINE",
                            "the time allowed for this ran out; try again or allow more");
  }
  return base::make_error(base::Code::cancelled, "CANCELLED", "this was cancelled");
}

}  // namespace tessera::async
