// The room's test program, which also plays the child processes of its crash tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tessera::store {
int crash_child(const std::string& path, int64_t first);
int full_child(const std::string& path);
}  // namespace tessera::store

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--crash-child" && argc == 4) return tessera::store::crash_child(argv[2], std::stoll(argv[3]));
  if (mode == "--full-child" && argc == 3) return tessera::store::full_child(argv[2]);
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
