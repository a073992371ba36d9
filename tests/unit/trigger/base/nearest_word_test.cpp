#include "trigger/base/nearest_word.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace waggle::trigger {
namespace {

const std::vector<std::string> words = {"build", "push", "switch", "boot", "test", "dry-activate"};

TEST(NearestWord, FindsTheWordForATypo) {
    EXPECT_EQ(nearest_word("swich", words), "switch");
    EXPECT_EQ(nearest_word("swtich", words), "switch");
    EXPECT_EQ(nearest_word("Switch", words), "switch");
    EXPECT_EQ(nearest_word("dryactivate", words), "dry-activate");
    EXPECT_EQ(nearest_word("bot", words), "boot");
}

TEST(NearestWord, ReturnsNothingIfNoWordIsNear) {
    EXPECT_EQ(nearest_word("deploy", words), "");
    EXPECT_EQ(nearest_word("", words), "");
    EXPECT_EQ(nearest_word(std::string(5000, 'x'), words), "");
    EXPECT_EQ(did_you_mean("deploy", words), "");
}

} // namespace
} // namespace waggle::trigger
