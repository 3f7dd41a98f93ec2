// Our side of bm25.py and filtered.py: the index behind its door. engine_runner DIRECTORY reads commands, one a line:
//   lexical FILE                     takes in the file's lines, a document each -> wall and processor seconds, memory
//   in
//                                    bytes
//   vectors FILE DIMENSIONS META     raw floats; META: a line a row, "field number field number ..." -> the same
//   save                             -> wall and processor seconds
//   bandwidth                        one thread summing 512 MiB -> bytes a second
//   words FILE                       reads the file's words and hashes each, nothing more -> words, processor seconds
//   text K FILE                      a query a line -> a line a query: wall and processor seconds, the keys found; "."
//   dense K VECTORS FILTERS          a filter a line: "field number,number field number", empty: none -> the same
// Keys are the numbers of lines and rows from 0.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "base/hash.h"
#include "base/log.h"
#include "index/retrieval_index.h"
#include "text/words.h"

namespace {

using tessera::core::Filter;
using tessera::core::IndexHit;
using tessera::core::IndexQuery;
using Clock = std::chrono::steady_clock;
constexpr int64_t kCollection = 1;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Wall time and processor time of the whole process since its making.
class Stopwatch {
 public:
  [[nodiscard]] double wall() const { return since(start_); }
  [[nodiscard]] double processor() const { return used() - used_; }

 private:
  static double used() {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  Clock::time_point start_ = Clock::now();
  double used_ = used();
};

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "engine_runner: %s\n", why.c_str());
  std::exit(1);
}

std::vector<float> read_floats(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) stop("cannot read " + path);
  std::vector<float> values(static_cast<size_t>(file.tellg()) / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

Filter parse_filter(const std::string& line) {
  Filter all;
  std::istringstream in(line);
  std::string field;
  std::string list;
  while (in >> field >> list) {
    Filter one;
    one.op = Filter::Op::in;
    one.field = field;
    std::istringstream numbers(list);
    for (std::string number; std::getline(numbers, number, ',');) one.values.emplace_back(int64_t{std::stoll(number)});
    if (one.values.size() == 1) one.op = Filter::Op::eq;
    all.children.push_back(std::move(one));
  }
  return all;
}

class Runner {
 public:
  explicit Runner(const std::string& directory) {
    auto made = tessera::index::create_retrieval_index({.directory = directory}, *logger_);
    if (!made) stop(made.error().message);
    index_ = *std::move(made);
  }

  void take_lines(const std::string& path) {
    std::ifstream file(path);
    if (!file) stop("cannot read " + path);
    const Stopwatch watch;
    for (std::string line; std::getline(file, line);) put(std::move(line), {}, {}, 0);
    report_build(watch);
  }

  void take_vectors(const std::string& path, size_t dimensions, const std::string& meta_path) {
    const std::vector<float> values = read_floats(path);
    std::ifstream meta(meta_path);
    std::string line;
    const Stopwatch watch;
    for (size_t at = 0; at + dimensions <= values.size(); at += dimensions) {
      tessera::core::Metadata metadata;
      std::getline(meta, line);
      std::istringstream in(line);
      std::string field;
      for (int64_t number = 0; in >> field >> number;) metadata.emplace(field, number);
      const auto from = values.begin() + static_cast<std::ptrdiff_t>(at);
      put({}, {from, from + static_cast<std::ptrdiff_t>(dimensions)}, std::move(metadata), dimensions);
    }
    report_build(watch);
  }

  void save() {
    const Stopwatch watch;
    if (const auto saved = index_->save(); !saved) stop(saved.error().message);
    const double wall = watch.wall();
    std::printf("%.6f %.6f\n", wall, watch.processor());
  }

  void text(size_t k, const std::string& path) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      const IndexQuery query{.collection_id = kCollection, .text = line, .vector = {}, .k = k};
      const Stopwatch watch;
      answer(watch, index_->search_lexical(query));
    }
    std::printf(".\n");
  }

  void dense(size_t k, const std::string& vectors, const std::string& filters) {
    const std::vector<float> values = read_floats(vectors);
    std::ifstream file(filters);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
    const size_t dimensions = lines.empty() ? 0 : values.size() / lines.size();
    for (size_t i = 0; i < lines.size(); ++i) {
      const Filter filter = parse_filter(lines[i]);
      const IndexQuery query{.collection_id = kCollection,
                             .text = {},
                             .vector = {values.data() + i * dimensions, dimensions},
                             .k = k,
                             .filter = filter.children.empty() ? nullptr : &filter};
      const Stopwatch watch;
      answer(watch, index_->search_dense(query));
    }
    std::printf(".\n");
  }

 private:
  void put(std::string text, std::vector<float> vector, tessera::core::Metadata metadata, size_t dimensions) {
    auto write = std::make_shared<tessera::core::DocumentWrite>();
    const int64_t key = ++sequence_;
    auto& head = write->document.head;
    head.key = key;
    head.collection_id = kCollection;
    head.metadata = std::move(metadata);
    tessera::core::Chunk& chunk = write->chunks.emplace_back();
    chunk.key = key;
    chunk.document_key = key;
    chunk.end = static_cast<int64_t>(text.size());
    write->document.text = std::move(text);
    write->vectors = std::move(vector);
    write->dimensions = dimensions;
    tessera::core::StoreChange change;
    change.sequence = key;
    change.collection_id = kCollection;
    change.document_key = key;
    change.document = std::move(write);
    if (const auto applied = index_->apply(change); !applied) stop(applied.error().message);
  }

  void report_build(const Stopwatch& watch) {
    const double wall = watch.wall();
    const double processor = watch.processor();
    std::printf("%.6f %.6f %lld\n", wall, processor, static_cast<long long>(index_->stats(kCollection).memory_bytes));
  }

  static void answer(const Stopwatch& watch, const tessera::base::Result<std::vector<IndexHit>>& hits) {
    const double wall = watch.wall();
    const double processor = watch.processor();
    if (!hits) stop(hits.error().message);
    std::printf("%.9f %.9f", wall, processor);
    for (const IndexHit& hit : *hits) std::printf(" %lld", static_cast<long long>(hit.chunk_key - 1));
    std::printf("\n");
  }

  std::unique_ptr<tessera::base::Logger> logger_ = tessera::base::silent_logger();
  std::unique_ptr<tessera::core::RetrievalIndex> index_;
  int64_t sequence_ = 0;
};

void bandwidth() {
  const std::vector<uint64_t> words((size_t{512} << 20) / sizeof(uint64_t), 1);
  double best = 0;
  uint64_t sum = 0;
  for (int round = 0; round < 5; ++round) {
    const Stopwatch watch;
    for (const uint64_t word : words) sum += word;
    best = std::max(best, static_cast<double>(words.size() * sizeof(uint64_t)) / watch.processor());
  }
  std::printf("%.0f\n", sum == 0 ? 0.0 : best);
}

void words(const std::string& path) {
  std::ifstream file(path);
  const Stopwatch watch;
  uint64_t count = 0;
  uint64_t hashes = 0;
  for (std::string line; std::getline(file, line);) {
    tessera::text::for_each_word(line, [&](const tessera::text::Word& word) {
      hashes ^= tessera::base::hash64(word.term);
      ++count;
    });
  }
  std::printf("%llu %.6f\n", static_cast<unsigned long long>(count), hashes == 0 ? 0.0 : watch.processor());
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) stop("usage: engine_runner DIRECTORY");
  Runner runner(arguments[1]);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string command;
    std::string first;
    std::string second;
    size_t number = 0;
    in >> command;
    if (command == "lexical" && in >> first) {
      runner.take_lines(first);
    } else if (command == "vectors" && in >> first >> number >> second) {
      runner.take_vectors(first, number, second);
    } else if (command == "save") {
      runner.save();
    } else if (command == "bandwidth") {
      bandwidth();
    } else if (command == "words" && in >> first) {
      words(first);
    } else if (command == "text" && in >> number >> first) {
      runner.text(number, first);
    } else if (command == "dense" && in >> number >> first >> second) {
      runner.dense(number, first, second);
    } else {
      stop("unknown command: " + line);
    }
    std::fflush(stdout);
  }
  return 0;
}
