#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "config/load.h"
#include "config/nearest.h"
#include "config/render.h"
#include "config/table.h"
#include "config/yaml_tree.h"

namespace tessera::config {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Sources from_file(std::string text) {
  Sources sources;
  sources.file = File{.name = "tessera.yaml", .text = std::move(text)};
  return sources;
}

Sources from_environment(Environment environment) {
  Sources sources;
  sources.environment = std::move(environment);
  return sources;
}

Sources from_flags(std::vector<std::pair<std::string, std::string>> flags) {
  Sources sources;
  sources.flags = std::move(flags);
  return sources;
}

Settings loaded(const Sources& sources) {
  auto result = load(sources);
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result->settings : Settings{};
}

std::string problem(const Sources& sources) {
  const auto result = load(sources);
  EXPECT_FALSE(result);
  if (result) return {};
  EXPECT_EQ(result.error().code, base::Code::invalid);
  EXPECT_EQ(result.error().name, "CONFIG_INVALID");
  return result.error().message;
}

TEST(Load, DefaultsAreValidAndAsDocumented) {
  const Settings settings = loaded({});
  EXPECT_EQ(settings.server.host, "127.0.0.1");
  EXPECT_EQ(settings.server.port, 8080);
  EXPECT_EQ(settings.server.body_bytes_max, 64 << 20);
  EXPECT_EQ(settings.server.shutdown_grace_ms, base::Millis(10000));
  EXPECT_EQ(settings.chunk.size, 256);
  EXPECT_EQ(settings.chunk.overlap, 32);
  EXPECT_EQ(settings.chat.default_model, "auto");
  EXPECT_EQ(settings.embedding.dimensions, 256);
  EXPECT_TRUE(settings.providers.empty());
  EXPECT_FALSE(settings.ingest.allow_private_addresses);
}

TEST(Load, FlagsBeatEnvironmentBeatsFileBeatsDefault) {
  Sources sources = from_file("server:\n  port: 1001\n");
  EXPECT_EQ(loaded(sources).server.port, 1001);
  sources.environment["PORT"] = "1002";
  EXPECT_EQ(loaded(sources).server.port, 1002);
  sources.environment["TESSERA_SERVER_PORT"] = "1003";
  EXPECT_EQ(loaded(sources).server.port, 1003) << "the own name beats another program's";
  sources.flags.emplace_back("server.port", "1004");
  EXPECT_EQ(loaded(sources).server.port, 1004);
  sources.flags.emplace_back("server.port", "1005");
  EXPECT_EQ(loaded(sources).server.port, 1005) << "the last flag counts";
  const auto result = load(sources);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->origins.at("server.port"), "--server.port");
}

TEST(Load, EmptyVariablesCountAsNotSet) {
  EXPECT_EQ(loaded(from_environment({{"PORT", ""}, {"TESSERA_SERVER_PORT", ""}})).server.port, 8080);
}

TEST(Load, EverySettingCanBeSetFromEverySource) {
  Settings defaults;
  for (const SettingInfo& info : settings_table()) {
    const std::string value = format_value(info.field(defaults), info.kind);
    if (value == "\"\"" || value == "[]" || info.kind == Kind::list) continue;
    const std::string plain = value.starts_with('"') ? value.substr(1, value.size() - 2) : value;
    for (const Sources& sources :
         {from_file(fmt::format("{}:\n  {}: {}\n", info.section, info.member, value)),
          from_file(fmt::format("{}: {}\n", info.name(), value)), from_environment({{info.environment_name(), plain}}),
          from_flags({{info.name(), plain}})}) {
      const auto result = load(sources);
      ASSERT_TRUE(result) << info.name() << ": " << result.error().message;
      EXPECT_EQ(result->origins.count(info.name()), 1) << info.name();
      Settings copy = *result->settings;
      if (info.name() == "embedding.dimensions") continue;  // completed
      EXPECT_EQ(format_value(info.field(copy), info.kind), value) << info.name();
    }
  }
}

TEST(Load, WrittenFormsOfValues) {
  const Settings settings = loaded(
      from_file("server:\n  body_bytes_max: 10MiB\n  idle_timeout_ms: 5m\n  cors_origins: [\"*\", http://a.example]\n"
                "deadlines: {t1_ms: 250, t2_ms: 1.5s}\n"
                "ingest:\n  roots: /one, /two\n  allow_private_addresses: yes\n  document_bytes_max: 5MB\n"
                "log:\n  level: WARNING\n"
                "chat: {temperature: 0.75}\n"));
  EXPECT_EQ(settings.server.body_bytes_max, 10 << 20);
  EXPECT_EQ(settings.server.idle_timeout_ms, base::Millis(300'000));
  EXPECT_THAT(settings.server.cors_origins, ElementsAre("*", "http://a.example"));
  EXPECT_EQ(settings.deadlines.t1_ms, base::Millis(250));
  EXPECT_EQ(settings.deadlines.t2_ms, base::Millis(1500));
  EXPECT_THAT(settings.ingest.roots, ElementsAre("/one", "/two"));
  EXPECT_TRUE(settings.ingest.allow_private_addresses);
  EXPECT_EQ(settings.ingest.document_bytes_max, 5'000'000);
  EXPECT_EQ(settings.log.level, "warn");
  EXPECT_EQ(settings.chat.temperature, 0.75);
}

TEST(Load, NamesOfOtherPrograms) {
  const Settings settings = loaded(from_environment({{"REQUEST_TIMEOUT", "30"},
                                                     {"LOGS_AS_JSON", "true"},
                                                     {"LOG_LEVEL", "INFO"},
                                                     {"MAX_HISTORY_MESSAGES", "20"},
                                                     {"DEFAULT_TEMPERATURE", "0.1"},
                                                     {"TOP_K_DEFAULT", "7"},
                                                     {"WORKERS", "3"},
                                                     {"CHUNK_SIZE", "1024"},
                                                     {"CHUNK_OVERLAP", "20"},
                                                     {"HOST", "localhost"}}));
  EXPECT_EQ(settings.deadlines.t3_ms, base::Millis(30'000));
  EXPECT_EQ(settings.log.format, "json");
  EXPECT_EQ(settings.log.level, "info");
  EXPECT_EQ(settings.chat.max_history_messages, 20);
  EXPECT_EQ(settings.chat.temperature, 0.1);
  EXPECT_EQ(settings.search.top_k, 7);
  EXPECT_EQ(settings.server.shards, 3);
  EXPECT_EQ(settings.chunk.size, 1024);
  EXPECT_EQ(settings.chunk.overlap, 20);
  EXPECT_EQ(loaded(from_environment({{"LOGS_AS_JSON", "0"}})).log.format, "text");
  EXPECT_EQ(loaded(from_environment({{"REQUEST_TIMEOUT", "1m"}})).deadlines.t3_ms, base::Millis(60'000));
}

TEST(Load, EveryChoiceCanBeChosenInAnyCase) {
  const auto in_case = [](std::string_view word, int (*change)(int)) {
    std::string text(word);
    std::ranges::transform(text, text.begin(), [change](char c) { return static_cast<char>(change(c)); });
    return text;
  };
  const auto each_choice = [](const Limits& limits, const auto& check) {
    std::istringstream choices{std::string(limits.choices)};
    for (std::string choice; std::getline(choices, choice, '|');) check(choice);
  };
  for (const SettingInfo& info : settings_table()) {
    each_choice(info.limits, [&](const std::string& choice) {
      for (const std::string& written : {choice, in_case(choice, std::tolower), in_case(choice, std::toupper)}) {
        Settings settings;
        const auto done = assign(info.field(settings), info.kind, info.limits, written);
        ASSERT_TRUE(done) << info.name() << ": " << written << " " << done.error().message;
        EXPECT_EQ(*std::get<std::string*>(info.field(settings)), choice) << "as the table has it";
      }
    });
  }
  for (const ProviderFieldInfo& info : provider_fields_table()) {
    each_choice(info.limits, [&](const std::string& choice) {
      ProviderSettings provider;
      ASSERT_TRUE(assign(info.field(provider), info.kind, info.limits, in_case(choice, std::toupper))) << choice;
      EXPECT_EQ(*std::get<std::string*>(info.field(provider)), choice);
    });
  }
  EXPECT_EQ(loaded(from_file("model: {quantization: q5}\n")).model.quantization, "Q5");
}

TEST(Load, FilesOfOtherSystems) {
  const Settings desktop =
      loaded(from_file("model_backend: gpt4all\nmodel_name: ggml-gpt4all-j\ngpu: false\nmodel_max_batch_size: 1\n"
                       "embeddings_batch_size: 1\n"));
  EXPECT_EQ(desktop.llm.provider, "llama_cpp");
  EXPECT_EQ(desktop.chat.default_model, "ggml-gpt4all-j");
  EXPECT_EQ(desktop.llama_cpp.n_gpu_layers, 0);
  EXPECT_EQ(desktop.embedding.batch_size, 1);
  const Settings many = loaded(
      from_file("model_backend: llama_cpp\nmodel_name: llama-2-13b.gguf\ngpu: true\nmodel_max_batch_size: 32\n"
                "embeddings_batch_size: 256\nnum_workers: 4\ncuda_devices: [0, 1, 2, 3]\nmodel_pool_per_gpu: 1\n"
                "llm: {llama_cpp: {model_path: /models}}\n"
                "performance: {db_connection_pool: 20, http_connection_pool: 200}\n"
                "vector_db:\n  storage_path: /mnt/nvme0/vector_db\n  hnsw_m: 16\n  hnsw_ef: 200\n  batch_size: 1000\n"
                "  chunk_size: 1000\n  chunk_overlap: 200\n  top_k: 3\n"
                "api: {priority_queue: true, high_priority_timeout: 400, default_priority_timeout: 3000}\n"
                "metrics: {enabled: true, export_format: prometheus, endpoint: /metrics}\n"));
  EXPECT_EQ(many.chat.default_model, "llama-2-13b") << "without the file's ending, as the model is called here";
  EXPECT_EQ(many.llama_cpp.n_gpu_layers, 999);
  EXPECT_EQ(many.llama_cpp.n_parallel, 32);
  EXPECT_EQ(many.llama_cpp.model_path, "/models");
  EXPECT_EQ(many.embedding.batch_size, 256);
  EXPECT_EQ(many.server.shards, 4);
  EXPECT_THAT(many.performance.cuda_devices, ElementsAre("0", "1", "2", "3"));
  EXPECT_EQ(many.performance.model_pool_per_gpu, 1);
  EXPECT_EQ(many.storage.readers, 20);
  EXPECT_EQ(many.llm.concurrent_max, 200);
  EXPECT_EQ(many.storage.directory, "/mnt/nvme0/vector_db");
  EXPECT_EQ(many.vector_db.hnsw_ef, 200);
  EXPECT_EQ(many.storage.write_group_max, 1000);
  EXPECT_EQ(many.chunk.size, 1000);
  EXPECT_EQ(many.chunk.overlap, 200);
  EXPECT_EQ(many.search.top_k, 3);
  EXPECT_TRUE(many.llm.priority_queue);
  EXPECT_EQ(many.llm.high_priority_timeout_ms, base::Millis(400));
  EXPECT_EQ(many.llm.default_priority_timeout_ms, base::Millis(3000));
  Sources sources = from_file(
      "llm:\n  provider: auto\n  llama_cpp:\n    model_path: /models/llama-3-8b.gguf\n    n_ctx: 4096\n"
      "    n_threads: 8\n    n_gpu_layers: 35\n    verbose: true\n"
      "  openai:\n    model: gpt-4o-mini\n    timeout: 60\n    max_retries: 3\n"
      "vector_db: {m: 24, ef_search: 80}\ncuda_device: 1\n");
  sources.environment["OPENAI_API_KEY"] = "sk-1";
  const Settings engine = loaded(sources);
  EXPECT_EQ(engine.llama_cpp.model_path, "/models/llama-3-8b.gguf");
  EXPECT_EQ(engine.llama_cpp.n_threads, 8);
  EXPECT_EQ(engine.llama_cpp.n_gpu_layers, 35);
  EXPECT_TRUE(engine.llama_cpp.verbose);
  ASSERT_EQ(engine.providers.size(), 1);
  EXPECT_THAT(engine.providers[0].models, ElementsAre("gpt-4o-mini"));
  EXPECT_EQ(engine.providers[0].total_timeout_ms, base::Millis(60'000));
  EXPECT_EQ(engine.providers[0].attempts_max, 4) << "three retries are four tries";
  EXPECT_EQ(engine.vector_db.hnsw_m, 24);
  EXPECT_EQ(engine.vector_db.hnsw_ef, 80);
  EXPECT_THAT(engine.performance.cuda_devices, ElementsAre("1"));
  const Settings variables =
      loaded(from_environment({{"MINDCORE_LLAMA_MODEL_PATH", "/m.gguf"}, {"MINDCORE_LLM_PROVIDER", "llama_cpp"}}));
  EXPECT_EQ(variables.llama_cpp.model_path, "/m.gguf");
  EXPECT_EQ(variables.llm.provider, "llama_cpp");
  EXPECT_EQ(loaded(from_flags({{"api.priority_queue", "false"}})).llm.priority_queue, false);
}

TEST(Load, NamesOfOtherSystemsAreCheckedAsWell) {
  EXPECT_EQ(problem(from_file("api:\n  priority_queue: maybe\n")),
            "tessera.yaml:2: llm.priority_queue must be true or false, not maybe");
  EXPECT_EQ(problem(from_file("gpu: 35\n")), "tessera.yaml:1: gpu must be true or false, not 35");
  EXPECT_EQ(problem(from_file("llm: {priority_queue: true}\napi: {priority_queue: false}\n")),
            "tessera.yaml:2: llm.priority_queue is here twice, under one name or two; first at tessera.yaml:1");
  EXPECT_THAT(problem(from_file("api: {priorty: true}\n")), HasSubstr("unknown setting \"api.priorty\""));
  EXPECT_THAT(problem(from_file("llm: {openai: {modle: x}}\n")), HasSubstr("unknown setting \"llm.openai.modle\""));
  EXPECT_THAT(problem(from_file("api: 5\n")), HasSubstr("api is a section"));
  EXPECT_THAT(problem(from_file("llm: {openai: gpt-4o}\n")), HasSubstr("llm.openai is a section"));
}

TEST(Load, NamesWithoutACounterpartSayWhatToDoInstead) {
  EXPECT_EQ(problem(from_file("gpu: true\ngpu_memory_fraction: 0.8\n")),
            "tessera.yaml:2: gpu_memory_fraction: llama-server takes no share of a GPU's memory; set "
            "llama_cpp.n_gpu_layers to as many layers as fit.");
  EXPECT_THAT(problem(from_file("database:\n  pool_size: 10\n")), HasSubstr("storage.directory"));
  EXPECT_THAT(problem(from_file("metrics: {enabled: false}\n")), HasSubstr("always there"));
  EXPECT_THAT(problem(from_flags({{"memory.gc_interval", "300"}})), HasSubstr("no garbage collector"));
  for (const Replaced& row : replaced_table()) {
    EXPECT_THAT(problem(from_file(fmt::format("{}: none of this\n", row.path))), HasSubstr(std::string(row.instead)));
    if (row.accepted.empty()) continue;
    EXPECT_TRUE(load(from_file(fmt::format("{}: {}\n", row.path, row.accepted)))) << row.path;
  }
}

TEST(Load, UnknownNamesAreRefusedWithTheNearest) {
  EXPECT_EQ(problem(from_file("log: {level: info}\n\nserver:\n  prot: 1\n")),
            "tessera.yaml:4: unknown setting \"server.prot\"; did you mean \"server.port\"?");
  EXPECT_THAT(problem(from_file("sevrer:\n  port: 1\n")),
              HasSubstr("tessera.yaml:1: unknown setting \"sevrer\"; did you mean \"server\"?"));
  EXPECT_THAT(problem(from_file("server.prot: 1\n")), HasSubstr("did you mean \"server.port\"?"));
  EXPECT_THAT(problem(from_file("provider:\n- name: x\n")), HasSubstr("did you mean \"providers\"?"));
  EXPECT_THAT(problem(from_file("providers:\n- {name: x, base_ulr: y}\n")), HasSubstr("did you mean \"base_url\"?"));
  EXPECT_THAT(problem(from_file("zzzzzzzzzzzzzzzz: 1\n")), HasSubstr("`tessera config reference` lists them all"));
  EXPECT_EQ(problem(from_environment({{"TESSERA_SERVER_PROT", "1"}})),
            "$TESSERA_SERVER_PROT: unknown setting; did you mean \"TESSERA_SERVER_PORT\"?");
  EXPECT_EQ(problem(from_flags({{"server.prot", "1"}})),
            "--server.prot: unknown setting; did you mean \"server.port\"?");
}

TEST(Load, VariablesThatKubernetesAddsAreNotOurs) {
  const Settings settings = loaded(from_environment({{"TESSERA_PORT", "tcp://10.0.0.1:80"},
                                                     {"TESSERA_SERVER_PORT", "tcp://10.0.0.1:80"},
                                                     {"TESSERA_SERVICE_HOST", "10.0.0.1"},
                                                     {"TESSERA_SERVICE_PORT_HTTP", "80"},
                                                     {"TESSERA_PORT_80_TCP_ADDR", "10.0.0.1"}}));
  EXPECT_EQ(settings.server.port, 8080);
}

TEST(Load, ValuesOutOfRangeNameTheRange) {
  EXPECT_EQ(problem(from_file("server:\n  port: 99999\n")),
            "tessera.yaml:2: server.port must be from 0 to 65535, not 99999");
  EXPECT_EQ(problem(from_environment({{"PORT", "-1"}})), "$PORT: server.port must be from 0 to 65535, not -1");
  EXPECT_EQ(problem(from_flags({{"storage.backend", "oracle"}})),
            "--storage.backend: storage.backend must be one of sqlite, memory, not oracle");
  EXPECT_EQ(problem(from_flags({{"server.body_bytes_max", "5GiB"}})),
            "--server.body_bytes_max: server.body_bytes_max must be from 1KiB to 4GiB, not 5GiB");
}

TEST(Load, MalformedValuesSayWhatWouldBeRight) {
  for (const std::string value : {"", "x", "1x", "1.5", "1e400", "nan", "inf", "0x10", "99999999999999999999", "1 2"}) {
    if (value.empty()) continue;
    EXPECT_THAT(problem(from_flags({{"server.port", value}})), HasSubstr("server.port must be ")) << value;
  }
  EXPECT_THAT(problem(from_flags({{"server.idle_timeout_ms", "10 parsecs"}})), HasSubstr("such as 10s"));
  EXPECT_THAT(problem(from_flags({{"log.requests", "maybe"}})), HasSubstr("must be true or false, not maybe"));
  EXPECT_THAT(problem(from_file("server: 5\n")), HasSubstr("server is a section"));
  EXPECT_THAT(problem(from_file("server:\n  port: [1, 2]\n")), HasSubstr("takes one value, not a list"));
  EXPECT_THAT(problem(from_file("server:\n  port: {a: 1}\n")), HasSubstr("takes a value, not a section"));
  EXPECT_THAT(problem(from_file("ingest:\n  roots: [[a]]\n")), HasSubstr("must be a list of plain values"));
  EXPECT_THAT(problem(from_file("- a\n")), HasSubstr("must hold sections"));
}

TEST(Load, AllProblemsAreToldAtOnceUpToTwenty) {
  EXPECT_EQ(problem(from_file("server:\n  port: -1\n  shards: x\n")),
            "tessera.yaml:2: server.port must be from 0 to 65535, not -1\n"
            "tessera.yaml:3: server.shards must be a whole number, not x");
  std::string many;
  for (int i = 0; i < 50; ++i) many += fmt::format("unknown{}: 1\n", i);
  const std::string message = problem(from_file(many));
  EXPECT_EQ(std::ranges::count(message, '\n'), 20);
  EXPECT_THAT(message, HasSubstr("... and 30 more"));
}

TEST(Load, AnOpenServerStaysOnThisMachine) {
  for (const std::string host : {"0.0.0.0", "::", "192.168.1.2", "127.example.org", "localhost.example.org", ""}) {
    EXPECT_THAT(problem(from_flags({{"server.host", host}})), HasSubstr("auth.mode open would let everyone in"))
        << host;
  }
  for (const std::string host : {"127.0.0.1", "127.1.2.3", "localhost", "::1"}) {
    EXPECT_EQ(loaded(from_flags({{"server.host", host}})).server.host, host);
  }
  EXPECT_EQ(loaded(from_flags({{"auth.mode", "keys"}, {"server.host", "0.0.0.0"}})).server.host, "0.0.0.0");
  EXPECT_THAT(problem(from_flags({{"auth.mode", "keys"}, {"storage.backend", "memory"}})), HasSubstr("sqlite"));
}

TEST(Load, SettingsAreCheckedAgainstEachOther) {
  EXPECT_THAT(problem(from_flags({{"chunk.size", "64"}, {"chunk.overlap", "32"}})),
              HasSubstr("less than half of chunk.size (64), not 32"));
  EXPECT_THAT(problem(from_flags({{"search.top_k", "50"}, {"search.top_k_max", "10"}})), HasSubstr("top_k_max"));
  EXPECT_THAT(problem(from_flags({{"storage.directory", ""}})), HasSubstr("must name a directory"));
  EXPECT_THAT(problem(from_flags({{"embedding.provider", "x"}})), HasSubstr("needs embedding.model"));
  EXPECT_THAT(problem(from_flags({{"embedding.model", "x"}})), HasSubstr("needs embedding.provider"));
  EXPECT_THAT(problem(from_flags({{"server.cors_origins", "example.org"}})), HasSubstr("an origin is"));
}

TEST(Providers, AKeyInTheEnvironmentIsEnough) {
  const Settings settings =
      loaded(from_environment({{"OPENAI_API_KEY", "sk-1"}, {"OPENAI_API_BASE", "http://localhost:9/v1/"}}));
  ASSERT_EQ(settings.providers.size(), 1);
  EXPECT_EQ(settings.providers[0].name, "openai");
  EXPECT_EQ(settings.providers[0].base_url, "http://localhost:9/v1");
  EXPECT_EQ(settings.providers[0].api_key, "sk-1");
  EXPECT_EQ(settings.providers[0].attempts_max, 3);
  EXPECT_EQ(settings.providers[0].total_timeout_ms, base::Millis(120'000));
  EXPECT_THAT(settings.providers[0].models, Contains("gpt-4o-mini"));
}

TEST(Providers, SoIsAKeyOfAnotherProvider) {
  const Settings settings = loaded(from_environment({{"ANTHROPIC_API_KEY", "a-1"},
                                                     {"OPENROUTER_API_KEY", "o-1"},
                                                     {"OPENAI_API_KEY", "sk-1"},
                                                     {"EMBEDDING_MODEL", "text-embedding-3-small"}}));
  ASSERT_EQ(settings.providers.size(), 3);
  EXPECT_EQ(settings.providers[0].name, "openai") << "as before";
  EXPECT_EQ(settings.embedding.provider, "openai") << "who is known for the model";
  EXPECT_EQ(settings.providers[1].name, "anthropic");
  EXPECT_EQ(settings.providers[1].type, "anthropic");
  EXPECT_EQ(settings.providers[1].api_key, "a-1");
  EXPECT_EQ(settings.providers[1].attempts_max, 3);
  EXPECT_FALSE(settings.providers[1].models.empty()) << "auto asks the first";
  EXPECT_EQ(settings.providers[2].type, "openrouter");
  for (const SettingInfo& info : settings_table()) {
    if (info.section != "api_keys") continue;
    const Settings one = loaded(from_environment({{info.environment_name(), "k"}}));
    ASSERT_EQ(one.providers.size(), 1) << info.name();
    EXPECT_EQ(one.providers[0].type, info.member);
    EXPECT_EQ(one.providers[0].api_key, "k");
    EXPECT_FALSE(one.providers[0].models.empty()) << info.name();
  }
  Sources said = from_file("providers:\n- {name: claude, type: anthropic, api_key_env: ANTHROPIC_API_KEY}\n");
  said.environment["ANTHROPIC_API_KEY"] = "a-1";
  EXPECT_EQ(loaded(said).providers.size(), 1) << "the section says it better";
}

TEST(Providers, AddressesHoldNoCredentials) {
  for (const std::string url : {"http://joe:hunter2secret@host/v1", "https://hunter2secret@host:1/v1",
                                "http://joe:hunter2secret@host", "http://host/v1?key=hunter2secret"}) {
    for (const Sources& sources :
         {from_file(fmt::format("providers:\n- {{name: a, base_url: \"{}\"}}\n", url)),
          from_environment({{"OPENAI_API_BASE", url}}),
          from_file(fmt::format("openai: {{base_url: \"{}\"}}\nproviders:\n- {{name: openai}}\n", url))}) {
      EXPECT_THAT(problem(sources), AllOf(HasSubstr("api_key_env"), Not(HasSubstr("hunter2secret")))) << url;
    }
  }
  EXPECT_EQ(loaded(from_file("providers:\n- {name: a, base_url: http://host/users/@me/v1}\n")).providers.size(), 1);
}

TEST(Providers, FromTheFile) {
  Sources sources = from_file(
      "providers:\n"
      "  - name: local\n    base_url: http://127.0.0.1:8000/v1\n    models: [small, large]\n    idle_timeout_ms: 5s\n"
      "  - {name: cloud, api_key_env: CLOUD_KEY, models: other}\n"
      "embedding: {provider: cloud, model: text-embedding-3-small}\n");
  sources.environment["CLOUD_KEY"] = "k";
  const Settings settings = loaded(sources);
  ASSERT_EQ(settings.providers.size(), 2);
  EXPECT_THAT(settings.providers[0].models, ElementsAre("small", "large"));
  EXPECT_EQ(settings.providers[0].idle_timeout_ms, base::Millis(5000));
  EXPECT_EQ(settings.providers[1].api_key, "k");
  EXPECT_THAT(settings.providers[1].models, ElementsAre("other"));
  EXPECT_EQ(settings.embedding.dimensions, 1536);
}

TEST(Providers, MistakesAreNamed) {
  EXPECT_THAT(problem(from_file("providers:\n- {name: a, api_key_env: MISSING}\n")),
              HasSubstr("the variable MISSING, which is not set"));
  EXPECT_THAT(problem(from_file("providers:\n- {name: a}\n- {name: a}\n")), HasSubstr("\"a\" is there twice"));
  EXPECT_THAT(problem(from_file("providers:\n- {base_url: http://x}\n")), HasSubstr("needs a name"));
  EXPECT_THAT(problem(from_file("providers:\n- {name: a, base_url: ftp://x}\n")), HasSubstr("must begin with http"));
  EXPECT_THAT(problem(from_file("providers:\n- {name: tessera}\n")), HasSubstr("name is taken"));
  EXPECT_THAT(problem(from_file("providers: {name: a}\n")), HasSubstr("must be a list"));
  EXPECT_THAT(problem(from_file("providers:\n- {name: a, attempts_max: 99}\n")),
              HasSubstr("must be from 0 to 10, not 99"));
  EXPECT_THAT(problem(from_file("providers:\n- {name: a, api_version: 2025-01-01}\n")), HasSubstr("azure only"));
  EXPECT_THAT(problem(from_file("llm: {provider: openai}\n")), HasSubstr("set OPENAI_API_KEY"));
}

TEST(Secrets, AreNeverShown) {
  const std::string secret = "sk-very-secret";
  Sources sources = from_file("openai:\n  api_key: " + secret + "\nproviders:\n- {name: p, api_key: " + secret + "}\n");
  const auto result = load(sources);
  ASSERT_TRUE(result) << result.error().message;
  for (const std::string& text : {show_yaml(*result), show_json(*result->settings)}) {
    EXPECT_THAT(text, Not(HasSubstr(secret)));
    EXPECT_THAT(text, HasSubstr("(set)"));
  }
  EXPECT_THAT(problem(from_file("openai:\n  api_key: [" + secret + "]\n")), Not(HasSubstr(secret)));
  EXPECT_THAT(problem(from_file("providers:\n- {name: p, api_key: \"" + secret + " x\"}\n")), Not(HasSubstr(secret)));
  EXPECT_THAT(problem(from_environment({{"OPENAI_API_KEY", secret + " x"}})),
              AllOf(HasSubstr("copy it again"), Not(HasSubstr(secret))));
}

TEST(Show, CanBeLoadedAgainToTheSameSettings) {
  Sources sources = from_file(
      "server: {port: 1, cors_origins: [\"*\"], body_bytes_max: 3MiB}\nstorage: {directory: \"a # b: \\\"c\\\"\"}\n"
      "chat: {temperature: 0.25, default_model: \"yes\"}\ningest: {roots: [/a b, \"-\"]}\n");
  const auto first = load(sources);
  ASSERT_TRUE(first) << first.error().message;
  const std::string shown = show_yaml(*first);
  EXPECT_THAT(shown, HasSubstr("# tessera.yaml:1"));
  const auto second = load(from_file(shown));
  ASSERT_TRUE(second) << second.error().message << shown;
  EXPECT_EQ(show_json(*second->settings), show_json(*first->settings));
  EXPECT_EQ(second->settings->storage.directory, "a # b: \"c\"");
}

TEST(Reference, TheExampleFileIsValidWithAndWithoutComments) {
  const std::string example = reference_yaml();
  EXPECT_EQ(show_json(loaded(from_file(example))), show_json(loaded({})));
  std::string opened;
  std::istringstream lines(example.substr(0, example.find("\n# Model providers")));
  for (std::string line; std::getline(lines, line);) {
    opened += (line.starts_with('#') && !line.starts_with("# ") ? line.substr(1) : line) + "\n";
  }
  EXPECT_EQ(show_json(loaded(from_file(opened))), show_json(loaded({})));
}

TEST(Reference, NamesEverySettingAndIsCurrent) {
  const std::string text = reference_text();
  const std::string markdown = reference_markdown();
  for (const SettingInfo& info : settings_table()) {
    EXPECT_THAT(text, HasSubstr(info.environment_name()));
    EXPECT_THAT(markdown, HasSubstr("`" + info.name() + "`"));
  }
  std::ifstream file(TESSERA_SOURCE_DIR "/docs/config.md");
  std::ostringstream on_disk;
  on_disk << file.rdbuf();
  EXPECT_EQ(on_disk.str(), markdown) << "write it anew: tessera config reference --markdown > docs/config.md";
  std::ifstream example(TESSERA_SOURCE_DIR "/docs/tessera.example.yaml");
  std::ostringstream example_text;
  example_text << example.rdbuf();
  EXPECT_EQ(example_text.str(), reference_yaml()) << "tessera config reference --yaml > docs/tessera.example.yaml";
}

TEST(Table, NamesAreUniqueAndHelpIsWritten) {
  std::set<std::string> names;
  Settings defaults;
  for (const SettingInfo& info : settings_table()) {
    EXPECT_TRUE(names.insert(info.name()).second) << info.name();
    EXPECT_TRUE(names.insert(info.environment_name()).second) << info.environment_name();
    for (const Alias& alias : parse_aliases(info.aliases)) {
      EXPECT_TRUE(names.insert(std::string(alias.name)).second || (alias.path && alias.name == info.member))
          << alias.name;
      EXPECT_EQ(find_setting(alias.name).info, alias.path ? &info : nullptr) << alias.name;
      if (alias.path) EXPECT_EQ(find_replaced(alias.name), nullptr) << alias.name;
    }
    if (!info.flag.empty()) EXPECT_TRUE(names.insert("--" + std::string(info.flag)).second);
    EXPECT_TRUE(info.help.ends_with('.')) << info.name();
    EXPECT_EQ(info.member.ends_with("_ms"), info.kind == Kind::duration) << info.name();
    EXPECT_EQ(info.kind == Kind::choice, !info.limits.choices.empty()) << info.name();
    const bool secret_name = info.member.find("key") != std::string_view::npos || info.section == "api_keys";
    EXPECT_EQ(info.limits.secret, secret_name) << info.name();
  }
}

TEST(Yaml, HostileFilesAreRefusedInTime) {
  const std::string bomb =
      "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
  EXPECT_THAT(problem(from_file(bomb)), HasSubstr("not supported"));
  EXPECT_THAT(problem(from_file("server: !!python/object {a: 1}\n")), HasSubstr("tags"));
  EXPECT_THAT(problem(from_file("a: *nothing\n")), StartsWith("tessera.yaml:1: "));
  EXPECT_THAT(problem(from_file(std::string(100'000, '['))), StartsWith("tessera.yaml:1: "));
  EXPECT_THAT(problem(from_file(std::string(100'000, '{'))), StartsWith("tessera.yaml:1: "));
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += std::string(i, ' ') + "a:\n";
  EXPECT_THAT(problem(from_file(deep)), HasSubstr("nested too deeply"));
  EXPECT_THAT(problem(from_file("server:\n  port: 1\n  port: 2\n")),
              HasSubstr("\"port\" is here twice; first on line 2"));
  EXPECT_THAT(problem(from_file("? [a, b]\n: c\n")), HasSubstr("a key must be a plain word"));
  EXPECT_THAT(problem(from_file("a: 1\n---\nb: 2\n")), HasSubstr("more than one document"));
  EXPECT_THAT(problem(from_file("a: \"unclosed\n")), StartsWith("tessera.yaml:"));
  EXPECT_THAT(problem(from_file("a:\n\t- b\n")), StartsWith("tessera.yaml:"));
  EXPECT_THAT(problem(from_file("a: \"x\\0y\"\n")), HasSubstr("NUL"));
  EXPECT_THAT(problem(from_file(std::string(kFileBytesMax + 1, ' '))), HasSubstr("larger than 256 KiB"));
  std::string wide = "ingest:\n  roots:\n";
  for (int i = 0; i < 30'000; ++i) wide += "  - a\n";
  EXPECT_THAT(problem(from_file(wide)), HasSubstr("too many values"));
}

TEST(Yaml, EmptyAndCommentOnlyFilesAreDefaults) {
  for (const std::string text : {"", "\n", "# nothing\n", "---\n", "server:\n", "server:\n  port:\n", "providers:\n"}) {
    EXPECT_EQ(loaded(from_file(text)).server.port, 8080) << text;
  }
}

TEST(Yaml, RandomEditsOfAValidFileNeverDoHarm) {
  std::mt19937 random(7);
  const std::string valid =
      "server:\n  port: 80\nproviders:\n- {name: a, models: [b, 'c', \"d\"]}\nlog: {level: info}\n";
  const std::string alphabet = "{}[]:,-&*!|>'\"%@`#?\n\t ab0~\\\x01\xff";
  for (int round = 0; round < 3000; ++round) {
    std::string text = valid;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      const size_t at = random() % text.size();
      const char c = alphabet[random() % alphabet.size()];
      if (random() % 2 == 0) {
        text[at] = c;
      } else {
        text.insert(at, 1, c);
      }
    }
    const auto result = load(from_file(text));
    if (!result) EXPECT_FALSE(result.error().message.empty());
  }
}

TEST(Nearest, CountsAddedDroppedChangedAndSwappedLetters) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("port", "prot"), 1);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("same", "same"), 0);
  const std::vector<std::string> candidates{"port", "host"};
  EXPECT_EQ(nearest("prot", candidates), "port");
  EXPECT_EQ(nearest("completely", candidates), "");
  EXPECT_EQ(nearest(std::string(1000, 'x'), candidates), "");
}

TEST(Files, AreFoundReadAndBounded) {
  const std::string path = testing::TempDir() + "/config_test.yaml";
  std::ofstream(path) << "server: {port: 7}\n";
  const auto named = find_file(path, {});
  ASSERT_TRUE(named && *named);
  EXPECT_EQ((*named)->text, "server: {port: 7}\n");
  const auto by_variable = find_file("", {{"TESSERA_CONFIG", path}});
  ASSERT_TRUE(by_variable && *by_variable);
  EXPECT_EQ((*by_variable)->name, path);
  const auto missing = find_file(path + ".missing", {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().name, "CONFIG_NOT_FOUND");
  std::ofstream(path) << std::string(kFileBytesMax + 1, '#');
  const auto large = find_file(path, {});
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().name, "CONFIG_TOO_LARGE");
  EXPECT_FALSE(find_file(testing::TempDir(), {})) << "a directory is not a file";
}

}  // namespace
}  // namespace tessera::config
