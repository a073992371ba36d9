#include "trigger/report/format.hpp"

#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using namespace std::chrono_literals;

TEST(Format, Bytes) {
    EXPECT_EQ(format_bytes(0), "0 B");
    EXPECT_EQ(format_bytes(1023), "1023 B");
    EXPECT_EQ(format_bytes(1024), "1.0 KiB");
    EXPECT_EQ(format_bytes(12'595), "12.3 KiB");
    EXPECT_EQ(format_bytes((1 << 20) - 1), "1.0 MiB");
    EXPECT_EQ(format_bytes(std::uint64_t{5} << 40), "5.0 TiB");
    EXPECT_EQ(format_bytes(std::uint64_t{5000} << 40), "5000.0 TiB");
}

TEST(Format, Elapsed) {
    EXPECT_EQ(format_elapsed(0s), "0.0 s");
    EXPECT_EQ(format_elapsed(-1s), "0.0 s");
    EXPECT_EQ(format_elapsed(420ms), "0.4 s");
    EXPECT_EQ(format_elapsed(9960ms), "9 s");
    EXPECT_EQ(format_elapsed(59s), "59 s");
    EXPECT_EQ(format_elapsed(185s), "3 min 05 s");
}

TEST(Format, IndentsEveryNonEmptyLine) {
    EXPECT_EQ(indented("a\n\nb", "  "), "  a\n\n  b");
    EXPECT_EQ(indented("", "  "), "");
}

} // namespace
} // namespace waggle::trigger
