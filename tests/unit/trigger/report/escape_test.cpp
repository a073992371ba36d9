#include "trigger/report/escape.hpp"

#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using namespace std::string_literals;

struct EscapeCase {
    std::string text;
    std::string shown;
};

TEST(Printable, EscapesControlSequences) {
    const EscapeCase cases[] = {
        {"plain text", "plain text"},
        {"grün, 日本, 🐝", "grün, 日本, 🐝"},
        {"tab\there", "tab    here"},
        {"line\n", "line"},
        {"line\r\n", "line"},
        {"two\nlines", "two<0a>lines"},
        {"\x1b[31;1mred\x1b[0m", "red"},
        {"\x1b]0;title\atext", "text"},
        {"\x1b]8;;http://x\x1b\\link", "link"},
        {"\x1b[2", "<1b>[2"}, // unfinished
        {"\x1b"
         "c",
         "<1b>c"}, // reset
        {"\x1b]0;endless", "<1b>]0;endless"},
        {"bell\a", "bell<07>"},
        {"nul\0!"s, "nul<00>!"},
        {"del\x7f", "del<7f>"},
        {"c1 \xc2\x9b"
         "31m",
         "c1 <u+009b>31m"},
        {"bidi \xe2\x80\xae"
         "exe",
         "bidi <u+202e>exe"},
        {"isolate \xe2\x81\xa6", "isolate <u+2066>"},
        {"zero\xe2\x80\x8bwidth", "zero<u+200b>width"},
        {"tag\xf3\xa0\x81\x81", "tag<u+e0041>"},
        {"latin \xe4", "latin <e4>"},
        {"cut \xe2\x80", "cut <e2><80>"},
        {"overlong \xc0\xaf", "overlong <c0><af>"},
        {"overlong \xe0\x80\xaf", "overlong <e0><80><af>"},
        {"surrogate \xed\xa0\x80", "surrogate <ed><a0><80>"},
        {"beyond \xf4\x90\x80\x80", "beyond <f4><90><80><80>"},
        {"", ""},
    };
    for (const EscapeCase& c : cases)
        EXPECT_EQ(printable(c.text), c.shown);
}

TEST(Printable, EveryByteAloneIsSafe) {
    for (int byte = 0; byte < 256; ++byte) {
        const std::string shown = printable("a" + std::string(1, static_cast<char>(byte)) + "b");
        for (const char c : shown)
            EXPECT_TRUE(c >= 0x20 && c < 0x7f) << byte;
    }
}

TEST(Printable, CapsTheLength) {
    const std::string shown = printable(std::string(1 << 20, 'x'));
    EXPECT_LE(shown.size(), max_line_bytes + 10);
    EXPECT_TRUE(shown.ends_with("…"));
    EXPECT_LE(printable(std::string(1 << 20, '\x01')).size(), max_line_bytes + 10);
}

TEST(Columns, CountsTerminalColumns) {
    EXPECT_EQ(columns("abc"), 3u);
    EXPECT_EQ(columns("grün"), 4u);
    EXPECT_EQ(columns("日本"), 4u);
    EXPECT_EQ(columns("e\xcc\x81"), 1u); // combining accent
    EXPECT_EQ(columns(""), 0u);
}

TEST(CutToColumns, MarksTheTruncation) {
    EXPECT_EQ(cut_to_columns("alphabet", 8), "alphabet");
    EXPECT_EQ(cut_to_columns("alphabet", 5), "alph…");
    EXPECT_EQ(cut_to_columns("日本語", 4), "日…"); // a wide character is not cut in half
    EXPECT_EQ(cut_to_columns("alphabet", 1), "…");
    EXPECT_EQ(cut_to_columns("alphabet", 0), "");
}

TEST(Padded, PadsByColumnsNotBytes) {
    EXPECT_EQ(padded("grün", 6), "grün  ");
    EXPECT_EQ(padded("alphabet", 3), "alphabet");
}

} // namespace
} // namespace waggle::trigger
