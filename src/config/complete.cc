#include "config/complete.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>

namespace tessera::config {
namespace {

constexpr std::string_view kBuiltInEmbedder = "tessera/static-256";
constexpr std::string_view kLocalProvider = "llama_cpp";

bool is_url(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

// "http://127.0.0.1:8080/v1", "http://localhost/v1"
bool is_local_url(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find('/'));
  if (url.starts_with('[')) return is_loopback(url.substr(0, url.find(']') + 1));
  return is_loopback(url.substr(0, url.find(':')));
}

// OPENAI_API_KEY alone is enough to have a provider.
void add_openai(Settings& settings) {
  const OpenAiSettings& openai = settings.openai;
  if (openai.api_key.empty() && openai.base_url.empty()) return;
  const auto named = [](const ProviderSettings& provider) { return provider.name == "openai"; };
  if (std::ranges::any_of(settings.providers, named)) return;  // the section says it better
  ProviderSettings provider;
  provider.name = "openai";
  provider.api_key = openai.api_key;
  if (!openai.base_url.empty()) provider.base_url = openai.base_url;
  provider.models = openai.models;
  provider.total_timeout_ms = openai.total_timeout_ms;
  provider.attempts_max = openai.attempts_max;
  settings.providers.push_back(std::move(provider));
}

// So is a key of another provider, by the name under which its own tools look for it.
void add_keyed(Settings& settings) {
  struct Row {
    std::string_view type;
    const std::string& key;
    std::vector<std::string> models;  // the first answers `auto`
  };
  const Row rows[] = {
      {"anthropic", settings.api_keys.anthropic, {"claude-sonnet-4-5", "claude-haiku-4-5"}},
      {"gemini", settings.api_keys.gemini, {"gemini-2.5-flash", "gemini-2.5-pro"}},
      {"openrouter",
       settings.api_keys.openrouter,
       {"openai/gpt-4o-mini", "openai/gpt-5", "deepseek/deepseek-chat-v3.1", "google/gemini-2.5-pro"}},
      {"deepseek", settings.api_keys.deepseek, {"deepseek-chat", "deepseek-reasoner"}},
      {"groq", settings.api_keys.groq, {"llama-3.3-70b-versatile"}},
      {"mistral", settings.api_keys.mistral, {"mistral-small-latest", "mistral-large-latest"}},
      {"together", settings.api_keys.together, {"meta-llama/Llama-3.3-70B-Instruct-Turbo"}},
      {"fireworks", settings.api_keys.fireworks, {"accounts/fireworks/models/llama-v3p3-70b-instruct"}},
      {"xai", settings.api_keys.xai, {"grok-4"}},
  };
  for (const Row& row : rows) {
    const auto said = [&](const ProviderSettings& each) { return each.name == row.type || each.type == row.type; };
    if (row.key.empty() || std::ranges::any_of(settings.providers, said)) continue;
    ProviderSettings provider;
    provider.name = provider.type = row.type;
    provider.api_key = row.key;
    provider.models = row.models;
    settings.providers.push_back(std::move(provider));
  }
}

// What is wrong with the address of a provider; empty: nothing. Addresses are shown, so no key may be in them.
std::string_view wrong_url(std::string_view url) {
  if (url.empty()) return {};
  if (!is_url(url)) return "base_url must begin with http:// or https://";
  const std::string_view rest = url.substr(url.find("://") + 3);
  if (rest.substr(0, rest.find_first_of("/?#")).contains('@')) {
    return "base_url must not hold a user name or a password; put the key into api_key_env (or api_key)";
  }
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return "base_url must end before \"?\" and \"#\"; put a key into api_key_env, and Azure's version into api_version";
  }
  return {};
}

void complete_provider(ProviderSettings& provider, const LlmSettings& llm, const Environment& environment,
                       Problems& problems) {
  const std::string where = fmt::format("providers: {}", provider.name.empty() ? "(unnamed)" : provider.name);
  if (provider.name.empty()) problems.add(where, "every provider needs a name");
  if (provider.name == "tessera" || provider.name == "extractive" || provider.name == "mock" ||
      provider.name == kLocalProvider || provider.name.find('/') != std::string::npos) {
    problems.add(where, "this name is taken or contains \"/\"; choose another");
  }
  if (provider.base_url.empty() && provider.type == "azure") problems.add(where, "azure needs its base_url");
  if (const auto wrong = wrong_url(provider.base_url); !wrong.empty()) problems.add(where, wrong);
  if (!provider.api_version.empty() && provider.type != "azure") {
    problems.add(where, "api_version is of the type azure only");
  }
  while (provider.base_url.ends_with('/')) provider.base_url.pop_back();
  if (!provider.api_key_env.empty() && provider.api_key.empty()) {
    const auto found = environment.find(provider.api_key_env);
    if (found == environment.end() || found->second.empty()) {
      problems.add(where, fmt::format("api_key_env names the variable {}, which is not set", provider.api_key_env));
    } else {
      provider.api_key = found->second;
    }
  }
  for (const std::string& variable : provider.api_keys_env) {
    const auto found = environment.find(variable);
    if (found == environment.end() || found->second.empty()) {
      problems.add(where, fmt::format("api_keys_env names the variable {}, which is not set", variable));
    } else {
      provider.further_api_keys.push_back(found->second);
    }
  }
  if (provider.location == "auto") {
    // These kinds live on this machine unless an address says otherwise.
    static constexpr std::string_view kAtHome[] = {"ollama", "lmstudio", "llama-server", "vllm"};
    const bool at_home = provider.base_url.empty() && std::ranges::find(kAtHome, provider.type) != std::end(kAtHome);
    provider.location = at_home || is_local_url(provider.base_url) ? "local" : "cloud";
  }
  const bool clean = std::ranges::all_of(provider.api_key, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (!clean) problems.add(where, "the key contains blanks or control characters; copy it again");
  const auto fall_back = [](auto& value, auto common) {
    if (value == decltype(common){}) value = common;
  };
  fall_back(provider.connect_timeout_ms, llm.connect_timeout_ms);
  fall_back(provider.first_token_timeout_ms, llm.first_token_timeout_ms);
  fall_back(provider.idle_timeout_ms, llm.idle_timeout_ms);
  fall_back(provider.total_timeout_ms, llm.total_timeout_ms);
  fall_back(provider.attempts_max, llm.attempts_max);
  fall_back(provider.concurrent_max, llm.concurrent_max);
}

// The name of the model that a file holds: a GGUF file's, without the ending. Nothing for a directory of models.
std::optional<std::string> model_name(std::string_view path) {
  constexpr std::string_view kEnding = ".gguf";
  if (!path.ends_with(kEnding)) return std::nullopt;
  path.remove_suffix(kEnding.size());
  const std::string name(path.substr(path.rfind('/') + 1));
  return name.empty() ? std::nullopt : std::optional(name);
}

// As other systems have it: GPT4All's models are GGUF files, too, and a model may be called by its file's name.
void take_names_of_files(Settings& settings) {
  if (settings.llm.provider == "gpt4all") settings.llm.provider = kLocalProvider;
  if (settings.llama_cpp.model_path.empty()) return;
  if (const auto name = model_name(settings.chat.default_model)) settings.chat.default_model = *name;
}

void complete_providers(Settings& settings, const Environment& environment, Problems& problems) {
  // Shown even where a section of its own says it better.
  const bool shadowed = std::ranges::any_of(settings.providers, [](auto& each) { return each.name == "openai"; });
  if (const auto wrong = wrong_url(settings.openai.base_url); shadowed && !wrong.empty()) problems.add("openai", wrong);
  add_openai(settings);
  add_keyed(settings);
  std::set<std::string, std::less<>> names;
  for (ProviderSettings& provider : settings.providers) {
    complete_provider(provider, settings.llm, environment, problems);
    if (!names.insert(provider.name).second) {
      problems.add("providers", fmt::format("the name \"{}\" is there twice", provider.name));
    }
  }
}

void complete_models(Settings& settings, Problems& problems) {
  std::set<std::string, std::less<>> names;
  for (RoutedModelSettings& model : settings.models) {
    const std::string where = fmt::format("models: {}", model.name.empty() ? "(unnamed)" : model.name);
    if (model.name.empty()) problems.add(where, "every model needs a name");
    if (model.name == "auto") problems.add(where, "this name is taken; choose another");
    if (!names.insert(model.name).second) problems.add("models", fmt::format("\"{}\" is there twice", model.name));
    for (const std::string& alias : model.aliases) {
      if (!names.insert(alias).second) problems.add(where, fmt::format("the name \"{}\" is there twice", alias));
    }
    for (const std::string& provider : model.providers) {
      const auto named = [&](const ProviderSettings& each) { return each.name == provider; };
      if (provider == kLocalProvider) continue;
      if (std::ranges::none_of(settings.providers, named)) {
        problems.add(where, fmt::format("no provider is called \"{}\"; add it under providers", provider));
      }
    }
    if (model.upstream.empty()) model.upstream = model.name;
    if ((model.price_prompt < 0) != (model.price_completion < 0)) {
      problems.add(where, "price_prompt and price_completion belong together; give both");
    }
    if (model.price_prompt < 0 && (model.price_cache_write >= 0 || model.price_cache_write_long >= 0)) {
      problems.add(where, "prices of what goes into the cache need price_prompt and price_completion beside them");
    }
  }
  const auto named = [&](const ProviderSettings& each) { return each.name == settings.llm.provider; };
  if (settings.llm.provider != "auto" && settings.llm.provider != "llama_cpp" &&
      std::ranges::none_of(settings.providers, named)) {
    problems.add("llm.provider", settings.llm.provider == "openai"
                                     ? "openai needs its key: set OPENAI_API_KEY"
                                     : "is auto or the name of a provider; no provider has this name");
  }
  if (settings.llm.backoff_max_ms < settings.llm.backoff_min_ms) {
    problems.add("llm.backoff_max_ms", "must not be below llm.backoff_min_ms");
  }
  if (settings.llm.breaker_open_max_ms < settings.llm.breaker_open_ms) {
    problems.add("llm.breaker_open_max_ms", "must not be below llm.breaker_open_ms");
  }
}

void complete_embedding(Settings& settings, Problems& problems) {
  static constexpr std::pair<std::string_view, int64_t> kKnown[] = {{kBuiltInEmbedder, 256},
                                                                    {"text-embedding-3-small", 1536},
                                                                    {"text-embedding-3-large", 3072},
                                                                    {"text-embedding-ada-002", 1536}};
  EmbeddingSettings& embedding = settings.embedding;
  if (embedding.provider == kLocalProvider) {
    const auto name = model_name(settings.llama_cpp.embedding_model_path);
    if (!name) problems.add("embedding.provider", "llama_cpp needs llama_cpp.embedding_model_path, a GGUF file");
    if (name && embedding.model == kBuiltInEmbedder) embedding.model = *name;
    return;  // the file says how long its vectors are
  }
  const auto* const known =
      std::ranges::find(kKnown, std::string_view(embedding.model), [](auto& row) { return row.first; });
  if (embedding.provider.empty() && embedding.model != kBuiltInEmbedder && !settings.providers.empty()) {
    const auto openai = [](const ProviderSettings& each) { return each.name == "openai"; };
    if (settings.providers.size() == 1) {
      embedding.provider = settings.providers.front().name;
    } else if (known != std::end(kKnown) && std::ranges::any_of(settings.providers, openai)) {
      embedding.provider = "openai";  // who else has it, says so
    }
  }
  if (embedding.provider.empty() != (embedding.model == kBuiltInEmbedder)) {
    problems.add("embedding", embedding.provider.empty()
                                  ? "the built-in model is tessera/static-256; another embedding.model needs "
                                    "embedding.provider"
                                  : "embedding.provider needs embedding.model, the name of one of its models");
  }
  const auto named = [&](const ProviderSettings& provider) { return provider.name == embedding.provider; };
  if (!embedding.provider.empty() && std::ranges::none_of(settings.providers, named)) {
    problems.add("embedding.provider", "no provider has this name; add it under providers");
  }
  if (known == std::end(kKnown)) {
    if (embedding.dimensions == 0) {
      problems.add("embedding.dimensions", "set the length of this model's vectors; it is not a model known here");
    }
  } else if (embedding.dimensions == 0) {
    embedding.dimensions = known->second;
  } else if (embedding.model == kBuiltInEmbedder && embedding.dimensions != known->second) {
    problems.add("embedding.dimensions", "the built-in model has 256; leave this out");
  }
}

void check_together(const Settings& settings, Problems& problems) {
  if (settings.auth.mode == "open" && !is_loopback(settings.server.host)) {
    problems.add("server.host",
                 "this address can be reached from other machines, and auth.mode open would let everyone in; make a "
                 "key with `tessera keys create` and set auth.mode to keys, or listen on 127.0.0.1");
  }
  if (settings.auth.mode == "keys" && settings.storage.backend == "memory") {
    problems.add("auth.mode", "keys are kept in the database; set storage.backend to sqlite");
  }
  if (settings.storage.backend == "sqlite" && settings.storage.directory.empty()) {
    problems.add("storage.directory", "must name a directory");
  }
  if (settings.chunk.overlap * 2 >= settings.chunk.size) {
    problems.add("chunk.overlap", fmt::format("must be less than half of chunk.size ({}), not {}", settings.chunk.size,
                                              settings.chunk.overlap));
  }
  if (settings.search.top_k > settings.search.top_k_max) {
    problems.add("search.top_k", "must not be above search.top_k_max");
  }
  for (const std::string& origin : settings.server.cors_origins) {
    if (origin != "*" && !is_url(origin)) {
      problems.add("server.cors_origins", "an origin is \"*\" or begins with http:// or https://");
    }
  }
}

void check_authorities(const Settings& settings, Problems& problems) {
  const std::string& path = settings.llm.ca_file;
  if (path.empty()) return;
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    problems.add("llm.ca_file", fmt::format("{} cannot be read", path));
  } else if (!text.contains("-----BEGIN CERTIFICATE-----")) {
    problems.add("llm.ca_file", fmt::format("{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", path));
  }
}

}  // namespace

void complete(Settings& settings, const Environment& environment, Problems& problems) {
  take_names_of_files(settings);
  complete_providers(settings, environment, problems);
  complete_models(settings, problems);
  complete_embedding(settings, problems);
  check_together(settings, problems);
  check_authorities(settings, problems);
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "::1" || host == "[::1]") return true;
  // 127.a.b.c; a name such as 127.example.org is not an address.
  return host.starts_with("127.") && std::ranges::count(host, '.') == 3 &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace tessera::config
