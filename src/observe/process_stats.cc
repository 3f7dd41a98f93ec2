#include "observe/process_stats.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

namespace tessera::observe {
namespace {

std::string read_proc(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

template <class T>
T number(std::string_view text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> result;
  size_t at = 0;
  while ((at = text.find_first_not_of(" \n", at)) != std::string_view::npos) {
    const size_t end = std::min(text.find_first_of(" \n", at), text.size());
    result.push_back(text.substr(at, end - at));
    at = end;
  }
  return result;
}

// The number after `key` in a file of "key: value" lines.
uint64_t field(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return 0;
  const size_t digit = text.find_first_of("0123456789", at + key.size());
  return digit == std::string_view::npos ? 0 : number<uint64_t>(text.substr(digit));
}

}  // namespace

ProcessStats read_process_stats() {
  ProcessStats stats;
  const std::string text = read_proc("/proc/self/stat");
  const size_t name_end = text.rfind(')');  // the program's name may hold anything
  if (name_end != std::string::npos) {
    // Fields are numbered as in proc(5); the first after the name is 3.
    const auto fields = words(std::string_view(text).substr(name_end + 1));
    const auto at = [&](size_t index) {
      return index - 3 < fields.size() ? number<int64_t>(fields[index - 3]) : int64_t{0};
    };
    const auto ticks = static_cast<double>(std::max(1L, sysconf(_SC_CLK_TCK)));
    stats.cpu_seconds = static_cast<double>(at(14) + at(15)) / ticks;
    stats.threads = at(20);
    stats.resident_bytes = at(24) * sysconf(_SC_PAGESIZE);
    const uint64_t boot = field(read_proc("/proc/stat"), "btime");
    stats.start_time_seconds = static_cast<double>(boot) + static_cast<double>(at(22)) / ticks;
  }
  std::error_code ignored;
  for (std::filesystem::directory_iterator it("/proc/self/fd", ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    ++stats.open_fds;
  }
  if (stats.open_fds > 0) --stats.open_fds;  // the one that looked
  return stats;
}

SystemSampler::SystemSampler(const base::Clock& clock, std::string directory)
    : clock_(clock), directory_(std::move(directory)) {}

SystemStats SystemSampler::sample() {
  SystemStats stats;
  const std::string memory = read_proc("/proc/meminfo");
  const auto total = static_cast<double>(field(memory, "MemTotal:"));
  if (total > 0) stats.memory_percent = 100 * (1 - static_cast<double>(field(memory, "MemAvailable:")) / total);

  struct statvfs disk{};
  if (statvfs(directory_.c_str(), &disk) == 0 && disk.f_blocks > 0) {
    const auto used = static_cast<double>(disk.f_blocks - disk.f_bfree);
    const double reachable = used + static_cast<double>(disk.f_bavail);  // as df counts it
    if (reachable > 0) stats.disk_percent = 100 * used / reachable;
  }

  const std::lock_guard lock(mutex_);
  const base::SteadyTime now = clock_.now();
  if (total_ == 0 || now - sampled_ >= base::Millis(100)) {
    const std::string text = read_proc("/proc/stat");
    const auto cpu = words(std::string_view(text).substr(0, text.find('\n')));
    uint64_t sum = 0;
    uint64_t idle = 0;
    for (size_t i = 1; i < cpu.size() && i <= 8; ++i) {  // guest times are part of user time
      const auto ticks = number<uint64_t>(cpu[i]);
      sum += ticks;
      if (i == 4 || i == 5) idle += ticks;
    }
    const uint64_t busy = sum - idle;
    if (sum > total_) {
      cpu_percent_ = 100 * static_cast<double>(busy - std::min(busy, busy_)) / static_cast<double>(sum - total_);
      busy_ = busy;
      total_ = sum;
      sampled_ = now;
    }
  }
  stats.cpu_percent = std::clamp(cpu_percent_, 0.0, 100.0);
  return stats;
}

}  // namespace tessera::observe
