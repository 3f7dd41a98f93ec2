#include "api/api.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/body.h"
#include "api/errors.h"
#include "api/filter_json.h"
#include "api/json_writer.h"
#include "api/openai_render.h"
#include "api/route.h"
#include "api/web_page.h"

namespace tessera::api {
namespace {

const Schema& schema(std::string_view name) {
  return *find_schema(name);
}

std::string parse_error(std::string_view json, std::string_view name) {
  const auto body = Body::parse(json, schema(name));
  return body ? "accepted" : body.error().name + ":" + body.error().param;
}

TEST(Body, ChecksTypesRangesRequiredAndUnknownFields) {
  EXPECT_EQ(parse_error(R"({"query":"a","top_k":3})", "SearchRequest"), "accepted");
  EXPECT_EQ(parse_error(R"({"query":"a","top_k":3.0})", "SearchRequest"), "accepted");
  EXPECT_EQ(parse_error(R"({"query":"a","top_k":null})", "SearchRequest"), "accepted");
  EXPECT_EQ(parse_error(R"({})", "SearchRequest"), "MISSING_FIELD:query");
  EXPECT_EQ(parse_error(R"({"query":null})", "SearchRequest"), "MISSING_FIELD:query");
  EXPECT_EQ(parse_error(R"({"query":""})", "SearchRequest"), "INVALID_FIELD:query");
  EXPECT_EQ(parse_error(R"({"query":"a","top_k":-1})", "SearchRequest"), "INVALID_FIELD:top_k");
  EXPECT_EQ(parse_error(R"({"query":"a","top_k":1.5})", "SearchRequest"), "INVALID_FIELD:top_k");
  EXPECT_EQ(parse_error(R"({"query":"a","top_k":"3"})", "SearchRequest"), "INVALID_FIELD:top_k");
  EXPECT_EQ(parse_error(R"({"query":"a","mode":"fast"})", "SearchRequest"), "INVALID_FIELD:mode");
  EXPECT_EQ(parse_error(R"({"query":"a","topk":1})", "SearchRequest"), "UNKNOWN_FIELD:topk");
  EXPECT_EQ(parse_error(R"({"message":"a","config":{"top_k":0}})", "ChatRequest"), "INVALID_FIELD:config.top_k");
  EXPECT_EQ(parse_error(R"({"message":"a","config":{"oops":0}})", "ChatRequest"), "UNKNOWN_FIELD:config.oops");
}

TEST(Body, RefusesWhatIsNotOneJsonObject) {
  for (const std::string_view bad : {"", "[]", "1", "{", "{\"query\":\"\xff\"}", "{\"query\":\"a\"} x"}) {
    EXPECT_EQ(parse_error(bad, "SearchRequest"), "INVALID_JSON:") << bad;
  }
  std::string deep(100'000, '[');
  EXPECT_EQ(parse_error(R"({"query":)" + deep, "SearchRequest"), "INVALID_JSON:");
}

TEST(Body, KeepsUnknownFieldsOfOpenSchemasForTheProvider) {
  const auto body =
      Body::parse(R"({"messages":[{"role":"user","content":"x"}],"model":"m","seed":7,"tools":[{"a":[1,2]}]})",
                  schema("ChatCompletionRequest"));
  ASSERT_TRUE(body.has_value());
  constexpr std::string_view kTaken[] = {"messages", "model"};
  EXPECT_EQ(boost::json::parse(body->rest_json(kTaken)), boost::json::parse(R"({"seed":7,"tools":[{"a":[1,2]}]})"));
  EXPECT_EQ(body->objects("messages").size(), 1U);
}

core::Metadata metadata_of(std::string_view json) {
  return metadata_from_json(boost::json::parse(json), "metadata").value();
}

TEST(Metadata, FlattensAndRoundTrips) {
  const auto metadata = metadata_of(R"({"a":1,"b":{"c":"x","d":[true,2,"y"]},"e":null,"f":1.5})");
  JsonWriter out;
  write_metadata(out, metadata);
  EXPECT_EQ(out.str(), R"({"a":1,"b.c":"x","b.d":["true","2","y"],"e":null,"f":1.5})");
}

TEST(Metadata, RefusesWhatItCannotHold) {
  std::string many = "{";
  for (int i = 0; i < 200; ++i) many += "\"k" + std::to_string(i) + "\":1,";
  many.back() = '}';
  for (const std::string& bad : {std::string("[]"), std::string(R"({"a":[[1]]})"), std::string(R"({"$a":1})"), many}) {
    EXPECT_EQ(metadata_from_json(boost::json::parse(bad), "metadata").error().name, "INVALID_METADATA") << bad;
  }
}

bool filter_matches(std::string_view filter, std::string_view metadata) {
  const auto parsed = filter_from_json(boost::json::parse(filter), "filter");
  EXPECT_TRUE(parsed.has_value()) << filter;
  return parsed && core::matches(*parsed, metadata_of(metadata));
}

TEST(FilterJson, MeansWhatItSays) {
  constexpr std::string_view kBook = R"({"year":1999,"tags":["a","b"],"lang":"en","x":{"y":2}})";
  EXPECT_TRUE(filter_matches(R"({})", kBook));
  EXPECT_TRUE(filter_matches(R"({"year":1999,"lang":"en"})", kBook));
  EXPECT_FALSE(filter_matches(R"({"year":1999,"lang":"de"})", kBook));
  EXPECT_TRUE(filter_matches(R"({"year":{"$gte":1990,"$lt":2000}})", kBook));
  EXPECT_TRUE(filter_matches(R"({"tags":"b"})", kBook));
  EXPECT_TRUE(filter_matches(R"({"lang":["de","en"]})", kBook));
  EXPECT_TRUE(filter_matches(R"({"lang":{"$nin":["de"]}})", kBook));
  EXPECT_TRUE(filter_matches(R"({"$or":[{"lang":"de"},{"year":1999}]})", kBook));
  EXPECT_FALSE(filter_matches(R"({"$not":{"year":1999}})", kBook));
  EXPECT_TRUE(filter_matches(R"({"x.y":{"$exists":true},"z":{"$exists":false}})", kBook));
}

TEST(FilterJson, RefusesUnknownOperatorsAndDepth) {
  std::string deep;
  for (int i = 0; i < 20; ++i) deep += R"({"$not":)";
  deep += "{}" + std::string(20, '}');
  for (const std::string& bad :
       {std::string("[]"), std::string(R"({"a":{"$regex":"x"}})"), std::string(R"({"$or":[]})"),
        std::string(R"({"a":{"$in":3}})"), std::string(R"({"a":{"$gt":{}}})"), deep}) {
    EXPECT_EQ(filter_from_json(boost::json::parse(bad), "filter").error().name, "INVALID_FILTER") << bad;
  }
}

/// What says nothing would match everything, or nothing at all, without a word.
TEST(FilterJson, RefusesWhatSaysNothingAndNamesIt) {
  for (const auto& [bad, named] :
       std::vector<std::pair<std::string, std::string>>{{R"({"year":{}})", "'year'"},
                                                        {R"({"$or":[{"lang":"de"},{"year":{}}]})", "'year'"},
                                                        {R"({"$not":{"year":{}}})", "'year'"},
                                                        {R"({"$or":[{"lang":"de"},{}]})", "$or"},
                                                        {R"({"$and":[{}]})", "$and"},
                                                        {R"({"$not":{}})", "$not"},
                                                        {R"({"$where":1})", "'$where'"},
                                                        {R"({"$and":[{"$nor":[]}]})", "'$nor'"},
                                                        {R"({"$gt":3})", "'$gt'"},
                                                        {R"({"":1})", "''"},
                                                        {"{\"" + std::string(257, 'x') + "\":1}", "'xxxx"}}) {
    const auto refused = filter_from_json(boost::json::parse(bad), "filter");
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().name, "INVALID_FILTER") << bad;
    EXPECT_EQ(refused.error().param, "filter");
    EXPECT_NE(refused.error().message.find(named), std::string::npos) << refused.error().message;
  }
}

TEST(Router, MatchesPathsAndNamesAllowedMethods) {
  const Router router;
  const auto id_of = [&](wire::Method method, std::string_view path) {
    const RouteMatch match = router.match(method, path);
    return match.route == nullptr ? std::string("none ") + match.allow : std::string(match.route->name);
  };
  EXPECT_EQ(id_of(wire::Method::get, "/health"), "health");
  EXPECT_EQ(id_of(wire::Method::head, "/health"), "health");
  EXPECT_EQ(id_of(wire::Method::get, "/"), "page");
  EXPECT_EQ(id_of(wire::Method::post, "/health"), "none GET");
  EXPECT_EQ(id_of(wire::Method::get, "/health/"), "none ");
  EXPECT_EQ(id_of(wire::Method::get, "/nowhere"), "none ");
  EXPECT_EQ(id_of(wire::Method::patch, "/api/documents/a"), "none GET, DELETE");
  const RouteMatch model = router.match(wire::Method::get, "/v1/models/tessera/extractive");
  ASSERT_NE(model.route, nullptr);
  EXPECT_EQ(model.params.at(0).second, "tessera/extractive");
  EXPECT_EQ(router.match(wire::Method::get, "/api/tasks/7/events").params.at(0).second, "7");
}

TEST(Errors, HaveOneEnvelopeForEachDialect) {
  const base::Error error = base::make_error(base::Code::exhausted, "SLOW", "Slow \"down\".", "secret detail", "field");
  const Reply native = error_reply(error, "/chat", "r1");
  EXPECT_EQ(native.status, 429);
  EXPECT_EQ(
      native.body,
      R"({"error":{"code":"SLOW","type":"exhausted","message":"Slow \"down\".","param":"field","request_id":"r1"}})");
  EXPECT_EQ(native.headers.at(0).name, "Retry-After");
  const Reply openai = error_reply(error, "/v1/models", "r1");
  EXPECT_EQ(openai.body,
            R"({"error":{"message":"Slow \"down\".","type":"rate_limit_error","param":"field","code":"SLOW"}})");
}

TEST(JsonWriter, RepairsTextAndNumbers) {
  JsonWriter out;
  out.begin_object()
      .field("a", "\xff\n")
      .field("b", 0.1)
      .field("c", 1e300 * 1e10)
      .field("d", true)
      .key("e")
      .begin_array()
      .end_array()
      .end_object();
  EXPECT_EQ(out.str(), "{\"a\":\"\xEF\xBF\xBD\\n\",\"b\":0.1,\"c\":null,\"d\":true,\"e\":[]}");
}

TEST(OpenApi, IsJsonAndDescribesEveryRoute) {
  const auto document = boost::json::parse(openapi_json("1")).as_object();
  size_t operations = 0;
  for (const auto& path : document.at("paths").as_object()) operations += path.value().as_object().size();
  EXPECT_EQ(operations, kRouteCount);
}

TEST(OpenAiRender, EncodesVectorsAsBase64) {
  const float values[] = {1.0F, -2.0F};
  EXPECT_EQ(embedding_json(values, true), R"("AACAPwAAAMA=")");
  EXPECT_EQ(embedding_json(values, false), "[1,-2]");
}

TEST(Page, PutsTheNonceWhereThePolicyWantsIt) {
  const std::string html = with_nonce(embedded_page(), "abc");
  EXPECT_EQ(html.find("%NONCE%"), std::string::npos);
  EXPECT_NE(html.find("<script nonce=\"abc\">"), std::string::npos);
  EXPECT_NE(page_policy("abc").find("script-src 'nonce-abc'"), std::string::npos);
  EXPECT_NE(docs_page().find("/api/search"), std::string::npos);
}

}  // namespace
}  // namespace tessera::api
