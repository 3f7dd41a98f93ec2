#include "app/command_models.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>

#include "app/commands.h"
#include "app/engine_options.h"
#include "app/local_models.h"
#include "llm/engines/suggestions.h"
#include "llm/extractive/extractive_model.h"

namespace tessera::app {
namespace {

constexpr const char* kSuggestFooter =
    "Tell it what matters; what you do not say is taken from this machine.\n"
    "\n"
    "  answers within half a second   --fast       Mistral-7B\n"
    "  the best answers               --accurate   Llama 2-13B, where it fits\n"
    "  less than 8 GB of memory                    GPT4All-J\n"
    "  nothing special                             GPT4All-J\n"
    "\n"
    "It prints the models with what they need, its choice, and settings to paste into tessera.yaml. It downloads\n"
    "nothing: get the model as a GGUF file, and put its path into llama_cpp.model_path.\n"
    "\n"
    "Examples:\n"
    "  tessera models suggest\n"
    "  tessera models suggest --users 100 --gpu\n"
    "  tessera models suggest --fast --memory 16 --cores 8\n";

/// In gigabytes, as makers of memory count them.
int64_t machine_memory_gb() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  int64_t kib = 0;
  while (file >> word) {
    if (word == "MemTotal:" && file >> kib) break;
  }
  return (kib + (1 << 19)) >> 20;
}

bool machine_has_gpu() {
  std::error_code ignored;
  return std::filesystem::exists("/dev/nvidia0", ignored) || std::filesystem::exists("/dev/kfd", ignored);
}

std::string gigabytes(uint64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

struct Row {
  std::string id;
  std::string provider;
  std::string note;
};

std::vector<Row> rows_of(const config::Settings& settings, const std::vector<llm::ModelFile>& local) {
  std::vector<Row> rows = {{std::string(llm::kExtractiveModelId), "extractive", "quotes your documents; always there"}};
  for (const llm::ModelFile& file : local) {
    std::string note = fmt::format("{}, {}", file.architecture, gigabytes(file.bytes));
    if (!file.quantization.empty()) note += ", " + file.quantization;
    if (file.context_length > 0) note += fmt::format(", trained for {} tokens", file.context_length);
    rows.push_back({fmt::format("{}/{}", llm::kLocalProvider, file.name), "local", std::move(note)});
  }
  for (const config::ProviderSettings& provider : settings.providers) {
    for (const std::string& model : provider.models) {
      rows.push_back({fmt::format("{}/{}", provider.name, model), provider.name, provider.base_url});
    }
  }
  if (settings.mock.enabled) {
    rows.push_back({"mock/echo", "mock", "repeats what it is told"});
    rows.push_back({"mock/lorem", "mock", "invents nothing"});
  }
  return rows;
}

std::string json_rows(const std::vector<Row>& rows) {
  std::string out = "[";
  for (const Row& row : rows) {
    out += out.size() > 1 ? ",{\"id\":" : "{\"id\":";
    base::append_json_string(out, row.id);
    out += ",\"provider\":";
    base::append_json_string(out, row.provider);
    out += ",\"note\":";
    base::append_json_string(out, row.note);
    out += "}";
  }
  return out + "]\n";
}

std::string advice_table() {
  std::string out =
      fmt::format("{:<13} {:>6}  {:<7} {:<9} {:<4} {}\n", "MODEL", "MEMORY", "SPEED", "ACCURACY", "GPU", "");
  for (const llm::LocalModelAdvice& model : llm::known_local_models()) {
    out += fmt::format("{:<13} {:>3} GB  {:<7} {:<9} {:<4} {}\n", model.name, model.memory_gb, model.speed,
                       model.accuracy, model.gpu ? "yes" : "no", model.note);
  }
  out += fmt::format("\n{:<13} {:>6}  {:<7} {}\n", "COMPRESSION", "SIZE", "SPEED", "QUALITY LOST");
  for (const llm::QuantizationAdvice& step : llm::known_quantizations()) {
    out += fmt::format("{:<13} {:>4} %  {:<7} {} %\n", step.name, step.size_percent, fmt::format("{}x", step.speed),
                       step.loss_percent);
  }
  return out;
}

}  // namespace

void add_model_commands(CLI::App& app, Invocation& into) {
  CLI::App* const models = app.add_subcommand("models", "List models; find the local one that suits this machine");
  models->require_subcommand(1);
  CLI::App* const list = models->add_subcommand("list", "Print the models that the configuration offers");
  list->add_option("-c,--config", into.config_path, "Configuration file (default: $TESSERA_CONFIG, ./tessera.yaml)")
      ->type_name("FILE");
  list->add_flag("--json", into.json, "Print JSON");
  list->callback([&into] { into.verb = Verb::models_list; });

  CLI::App* const suggest =
      models->add_subcommand("suggest", "Say which local model and which settings suit this machine");
  SuggestArguments& what = into.suggest;
  suggest->add_option("--users", what.users, "People who ask at the same time of day (1)")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N");
  CLI::Option* const fast = suggest->add_flag("--fast", what.fast, "Answers within half a second matter most");
  suggest->add_flag("--accurate", what.accurate, "The best answers matter most")->excludes(fast);
  suggest->add_option("--cores", what.cores, "Cores, if not of this machine")
      ->check(CLI::Range(1, 4096))
      ->type_name("N");
  suggest->add_option("--memory", what.memory_gb, "Gigabytes of memory, if not of this machine")
      ->check(CLI::Range(1, 100'000))
      ->type_name("GB");
  suggest->add_flag("--gpu", what.gpu, "There is a GPU (found by itself on this machine)");
  suggest->add_flag("--yaml", what.yaml, "Print the settings only");
  suggest->footer(kSuggestFooter);
  suggest->callback([&into] { into.verb = Verb::models_suggest; });
}

int models_list(const Invocation& invocation, const Surroundings& here) {
  const auto loaded = load_settings(invocation, here);
  if (!loaded) return report(here.terminal, loaded.error());
  const auto local = local_chat_files(*loaded->settings);
  if (!local) return report(here.terminal, local.error());
  const auto rows = rows_of(*loaded->settings, *local);
  if (invocation.json) {
    write_out(json_rows(rows));
    return kExitOk;
  }
  size_t widest = 8;
  for (const Row& row : rows) widest = std::max(widest, row.id.size());
  std::string out;
  for (const Row& row : rows) {
    out += fmt::format("{}  {}\n", styled(here.terminal, Style::bold, fmt::format("{:<{}}", row.id, widest)), row.note);
  }
  out += fmt::format("\nUsed when a request names none: {}\n", default_model_text(*loaded->settings));
  write_out(out);
  return kExitOk;
}

int models_suggest(const Invocation& invocation, const Surroundings& here) {
  const SuggestArguments& asked = invocation.suggest;
  llm::Wishes wishes;
  wishes.cores = asked.cores > 0 ? asked.cores : static_cast<int64_t>(cores());
  wishes.memory_gb = asked.memory_gb > 0 ? asked.memory_gb : machine_memory_gb();
  wishes.gpu = asked.gpu || (asked.cores == 0 && asked.memory_gb == 0 && machine_has_gpu());
  wishes.fast = asked.fast;
  wishes.accurate = asked.accurate;
  wishes.users = asked.users;
  const llm::Suggestion choice = llm::suggest(wishes);
  if (asked.yaml) {
    write_out(suggestion_yaml(choice));
    return kExitOk;
  }
  write_out(advice_table());
  write_out(fmt::format("\n{} cores, {} GB of memory, {}; {}: {}\n({})\n\n{}", wishes.cores, wishes.memory_gb,
                        wishes.gpu ? "a GPU" : "no GPU", choice.scenario,
                        styled(here.terminal, Style::bold, fmt::format("{}, {}", choice.model, choice.quantization)),
                        choice.why, suggestion_yaml(choice)));
  return kExitOk;
}

}  // namespace tessera::app
