#include "shared/nix/plain_text.hpp"

#include <gtest/gtest.h>

namespace waggle::nix {
namespace {

struct Case {
    std::string_view text;
    std::string_view plain;
};

TEST(PlainText, KeepsTextAndDropsControlSequences) {
    using namespace std::string_view_literals;
    const Case cases[] = {
        {"plain\n\ttext", "plain\n\ttext"},
        {"\x1b[31;1merror:\x1b[0m path '\x1b[35;1m/x\x1b[0m'", "error: path '/x'"},
        {"a\x1b]0;title\ab", "ab"},
        {"a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"},
        {"a\x1bP1$r0m\x1b\\b", "ab"},
        {"a\x1b(Bb", "ab"},
        {"a\x1b"
         "7b",
         "ab"},
        {"cut\x1b[31", "cut"},
        {"cut\x1b", "cut"},
        {"cut\x1b]0;never ended", "cut"},
        {"a\rb\bc\x7f\x01"
         "d\0e"sv,
         "abcde"},
        {"c1 \xc2\x9b"
         "31m",
         "c1 31m"},
        {"größe → 🐝", "größe → 🐝"},
        {"bad \xff\xc3", "bad \xef\xbf\xbd\xef\xbf\xbd"},
        {"overlong \xc0\xaf", "overlong \xef\xbf\xbd\xef\xbf\xbd"},
        {"surrogate \xed\xa0\x80", "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (const auto& [text, plain] : cases)
        EXPECT_EQ(plain_text(text, 1000), plain) << text;
}

TEST(PlainText, CutsBetweenCharacters) {
    EXPECT_EQ(plain_text("abc", 3), "abc");
    EXPECT_EQ(plain_text("abcd", 3), "abc…");
    EXPECT_EQ(plain_text("abß", 3), "ab…");
}

} // namespace
} // namespace waggle::nix
