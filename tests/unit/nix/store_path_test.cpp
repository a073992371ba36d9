#include "shared/nix/store_path.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace waggle::nix {
namespace {

const std::string hash = "0123456789abcdfghijklmnpqrsvwxyz";

TEST(StorePath, HasHashNameAndAbsoluteForm) {
    StorePath path = StorePath::parse("/nix/store/" + hash + "-bash-5.1-p16");
    EXPECT_EQ(path.base_name(), hash + "-bash-5.1-p16");
    EXPECT_EQ(path.hash_part(), hash);
    EXPECT_EQ(path.name(), "bash-5.1-p16");
    EXPECT_EQ(path.absolute(), "/nix/store/" + hash + "-bash-5.1-p16");
}

TEST(StorePath, BaseNameAndAbsoluteFormAreTheSamePath) {
    EXPECT_EQ(StorePath::parse(hash + "-x"), StorePath::parse("/nix/store/" + hash + "-x"));
}

TEST(StorePath, AcceptsWhatNixAccepts) {
    for (const std::string& name :
         {std::string("a"), std::string("+-._?="), std::string(".hidden"), std::string("...x"), std::string("x.drv"),
          std::string("AZaz09"), std::string("-"), std::string(211, 'n')})
        EXPECT_EQ(StorePath::parse(hash + "-" + name).name(), name);
}

TEST(StorePath, RefusesInvalidPaths) {
    const std::vector<std::string> refused = {
        "",
        "/nix/store/",
        "/nix/store",
        hash,
        hash + "-",
        hash + "_x",
        hash + "-a/b",
        "/nix/store/" + hash + "-a/bin",
        "/gnu/store/" + hash + "-a",
        "/nix/store//" + hash + "-a",
        "/nix/store/../store/" + hash + "-a",
        hash.substr(1) + "-a",
        "e" + hash.substr(1) + "-a", // e, o, u and t are not in the alphabet
        "o" + hash.substr(1) + "-a",
        "u" + hash.substr(1) + "-a",
        "t" + hash.substr(1) + "-a",
        "A" + hash.substr(1) + "-a",
        hash + "-.",
        hash + "-..",
        hash + "-.-a",
        hash + "-..-a",
        hash + "-a b",
        hash + "-a\n",
        hash + std::string("-a\0b", 4),
        hash + "-ä",
        hash + "-" + std::string(212, 'n'),
    };
    for (const std::string& text : refused)
        EXPECT_THROW(StorePath::parse(text), BadStorePath) << text;
}

TEST(StorePath, AbsoluteFormMayBeRequired) {
    EXPECT_EQ(StorePath::parse_absolute("/nix/store/" + hash + "-a").name(), "a");
    EXPECT_THROW(StorePath::parse_absolute(hash + "-a"), BadStorePath);
}

TEST(StorePath, ErrorShowsTheInputEscapedAndCut) {
    try {
        StorePath::parse("\x1b[31m" + std::string(5000, 'x'));
        FAIL();
    } catch (const BadStorePath& error) {
        std::string message = error.what();
        EXPECT_NE(message.find("\\x1b[31mxxx"), std::string::npos) << message;
        EXPECT_EQ(message.find('\x1b'), std::string::npos);
        EXPECT_LT(message.size(), 300u);
    }
}

} // namespace
} // namespace waggle::nix
