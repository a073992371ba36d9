#include "trigger/hive/nix_string.hpp"

#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

// tests/integration checks with a real Nix that it reads these literals as intended.
TEST(NixString, IsALiteralThatInterpolatesNothing) {
    EXPECT_EQ(nix_string(""), R"("")");
    EXPECT_EQ(nix_string("plain /a-b"), R"("plain /a-b")");
    EXPECT_EQ(nix_string(R"(say "hi")"), R"("say \"hi\"")");
    EXPECT_EQ(nix_string(R"(back\slash)"), R"("back\\slash")");
    EXPECT_EQ(nix_string("${evil}"), R"("\${evil}")");
    EXPECT_EQ(nix_string("$${evil}"), R"("\$\${evil}")");
    EXPECT_EQ(nix_string(R"(\${evil})"), R"("\\\${evil}")");
    EXPECT_EQ(nix_string("a\nb\tc\rd"), R"("a\nb\tc\rd")");
    EXPECT_EQ(nix_string("ünï"), "\"ünï\"");
}

} // namespace
} // namespace waggle::trigger
