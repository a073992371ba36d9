#include "shared/protocol/json.hpp"
#include "shared/protocol/name.hpp"
#include "tests/unit/protocol/samples.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace waggle::protocol {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string nested(size_t levels, char open, char close) {
    return std::string(levels, open) + std::string(levels, close);
}

TEST(Json, AcceptsExactlyOneStrictValue) {
    struct Case {
        std::string text;
        const char* said; // "" if the text is accepted
    };
    const Case cases[] = {
        {"{}", ""},
        {" {\"a\": [1, {\"b\": null}], \"c\": \"\\u00e9\xc3\xa9\"} \n", ""},
        {"{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}]}", ""},
        {nested(16, '[', ']'), ""},
        {"", "not JSON"},
        {"{", "not JSON"},
        {"{}x", "not JSON"},
        {"{}{}", "not JSON"},
        {"{\"a\":1,}", "not JSON"},
        {"{'a':1}", "not JSON"},
        {"// comment\n{}", "not JSON"},
        {"[NaN]", "not JSON"},
        {"[01]", "not JSON"},
        {"[1e999]", "not JSON"},
        {std::string("{}\0", 3), "NUL"},
        {std::string("{}\0{\"a\":1}", 10), "NUL"},
        {"\xef\xbb\xbf{}", "byte order mark"},
        {"[\"\xff\"]", "not JSON"},
        {"[\"\xc0\x80\"]", "not JSON"},         // overlong
        {"[\"\xed\xa0\x80\"]", "not JSON"},     // a surrogate
        {"[\"\xf5\x80\x80\x80\"]", "not JSON"}, // beyond U+10FFFF
        {"[\"\xc3\"]", "not JSON"},
        {"[\"\\ud800\"]", "not JSON"},
        {"[\"\n\"]", "not JSON"},
        {"{\"a\":1,\"a\":1}", "the key \"a\" is there twice"},
        {"{\"a\":1,\"\\u0061\":1}", "the key \"a\" is there twice"},
        {"[{\"b\":{\"c\":1,\"d\":2,\"c\":3}}]", "the key \"c\" is there twice"},
        {"{\"a\":{\"x\":1},\"b\":2,\"a\":3}", "the key \"a\" is there twice"},
        {nested(17, '[', ']'), "nested deeper than 16"},
        {std::string(100'000, '['), "nested deeper than 16"},
        {"{\"a\":" + nested(16, '[', ']') + "}", "nested deeper than 16"},
    };
    for (const auto& c : cases) {
        auto said = complaint([&] { parse_json(c.text, "thing"); });
        if (*c.said == '\0')
            EXPECT_EQ(said, "") << c.text;
        else
            EXPECT_THAT(said, testing::AllOf(StartsWith("thing: "), HasSubstr(c.said))) << c.text.substr(0, 100);
    }
}

TEST(Json, QuotesForeignTextWithoutControlCharacters) {
    EXPECT_EQ(in_quotes("plain"), "\"plain\"");
    EXPECT_EQ(in_quotes("\x1b[31m\x7f\xe2\x80\xae"), "\"\\u001b[31m\\u007f\\u202e\"");
    EXPECT_EQ(in_quotes("\xff"), "\"\\ufffd\"");
    EXPECT_EQ(in_quotes(std::string(65, 'x')), "\"" + std::string(64, 'x') + "\"…");
}

TEST(Json, IsWrittenEvenWhenATextIsNotUtf8) {
    EXPECT_EQ(dump_json(Json("a\xff"
                             "b")),
              "\"a\xef\xbf\xbd"
              "b\"");
}

TEST(Fields, ReturnTypedValues) {
    auto json = parse_json(
        R"({"s":"x","i":-3,"b":true,"a":[1],"o":{},"n":null,"d":"AQI=","t":"2026-11-22T09:42:00.000Z"})", "t");
    Fields fields(json, "thing");
    EXPECT_EQ(fields.string("s"), "x");
    EXPECT_EQ(fields.integer("i", -3, -3), -3);
    EXPECT_TRUE(fields.boolean("b"));
    EXPECT_EQ(fields.array("a", 1).size(), 1U);
    EXPECT_TRUE(fields.object("o").empty());
    EXPECT_TRUE(fields.is_null("n"));
    EXPECT_FALSE(fields.is_null("s"));
    EXPECT_EQ(fields.base64("d", 2), "\1\2");
    EXPECT_EQ(to_rfc3339(fields.time("t")), "2026-11-22T09:42:00.000Z");
    EXPECT_TRUE(fields.has("s"));
    EXPECT_FALSE(fields.has("z"));
    EXPECT_NO_THROW(fields.end());
}

TEST(Fields, RefuseMissingMistypedAndUnknownFields) {
    auto json = parse_json(
        R"({"s":"xyz","i":5,"f":1.0,"big":18446744073709551615,"b":true,"a":[1,2],"o":{},"n":null,"d":"AQID"})", "t");
    struct Case {
        void (*read)(Fields&);
        const char* said;
    };
    const Case cases[] = {
        {[](Fields& f) { f.at("z"); }, "field \"z\" is missing"},
        {[](Fields& f) { f.string("z"); }, "field \"z\" is missing"},
        {[](Fields& f) { f.is_null("z"); }, "field \"z\" is missing"},
        {[](Fields& f) { f.string("i"); }, "field \"i\" is not a string"},
        {[](Fields& f) { f.string("n"); }, "field \"n\" is not a string"},
        {[](Fields& f) { f.string("s", 2); }, "field \"s\" is longer than 2 bytes"},
        {[](Fields& f) { f.integer("s"); }, "field \"s\" is not an integer"},
        {[](Fields& f) { f.integer("f"); }, "field \"f\" is not an integer"},
        {[](Fields& f) { f.integer("b"); }, "field \"b\" is not an integer"},
        {[](Fields& f) { f.integer("i", 6); }, "field \"i\" is not between 6 and"},
        {[](Fields& f) { f.integer("i", 0, 4); }, "field \"i\" is not between 0 and 4"},
        {[](Fields& f) { f.integer("big", -10, std::numeric_limits<std::int64_t>::max()); },
         "field \"big\" is not between"},
        {[](Fields& f) { f.boolean("i"); }, "field \"i\" is not true or false"},
        {[](Fields& f) { f.array("o", 1); }, "field \"o\" is not an array"},
        {[](Fields& f) { f.array("a", 1); }, "field \"a\" has more than 1 items"},
        {[](Fields& f) { f.object("a"); }, "field \"a\" is not an object"},
        {[](Fields& f) {
             f.name("d");
             f.name("z");
         },
         "field \"z\" is missing"},
        {[](Fields& f) { f.base64("s", 10); }, "field \"s\" is not base64"},
        {[](Fields& f) { f.base64("d", 2); }, "field \"d\" is longer than 2 bytes"},
        {[](Fields& f) { f.digest("s"); }, "field \"s\" is not a SHA-256"},
        {[](Fields& f) { f.time("s"); }, "field \"s\" is not a time"},
        {[](Fields& f) {
             f.string("s");
             f.end();
         },
         "unknown field \"a\""},
    };
    for (const auto& c : cases) {
        Fields fields(json, "thing");
        EXPECT_THAT(complaint([&] { c.read(fields); }), StartsWith(fmt::format("thing: {}", c.said)));
    }
    for (auto text : {"[]", "null", "1", "\"x\""}) {
        auto other = parse_json(text, "t");
        EXPECT_EQ(complaint([&] { Fields(other, "thing"); }), "thing: not a JSON object");
    }
}

TEST(Name, IsAPlainWord) {
    for (auto good : {"a", "alpha", "Alpha-1", "0", "a.b_c-d", "a.example.org", "a-", "a."})
        EXPECT_TRUE(is_name(good)) << good;
    for (auto bad : {"", ".", "..", ".a", "-a", "_a", "a..b", "a/b", "a b", "a\n", "\xc3\xa9", "a\x1b", "@a", "a*"})
        EXPECT_FALSE(is_name(bad)) << bad;
    EXPECT_FALSE(is_name(std::string_view("a\0", 2)));
    EXPECT_TRUE(is_name(std::string(64, 'a')));
    EXPECT_FALSE(is_name(std::string(65, 'a')));
}

} // namespace
} // namespace waggle::protocol
