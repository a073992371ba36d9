#include "shared/base/bytes.hpp"
#include "shared/base/hash.hpp"

#include <gtest/gtest.h>

namespace waggle {
namespace {

std::string text_of(const Bytes& bytes) {
    return std::string(as_text(bytes));
}

TEST(Base64, AgreesWithTheVectorsOfRfc4648) {
    const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                           {"f", "Zg=="},
                                                           {"fo", "Zm8="},
                                                           {"foo", "Zm9v"},
                                                           {"foob", "Zm9vYg=="},
                                                           {"fooba", "Zm9vYmE="},
                                                           {"foobar", "Zm9vYmFy"},
                                                           {"\xfb\xff\xfe", "+//+"}};
    for (const auto& [plain, encoded] : vectors) {
        EXPECT_EQ(to_base64(plain), encoded);
        auto decoded = from_base64(encoded);
        ASSERT_TRUE(decoded) << encoded;
        EXPECT_EQ(text_of(*decoded), plain);
    }
}

TEST(Base64, RefusesNonCanonicalForms) {
    for (const char* text :
         {"Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", "Zm 9v", "Zg==Zg==", "====", "=AAA", "A=AA", "Zm-_"})
        EXPECT_FALSE(from_base64(text)) << text;
}

TEST(Hex, RoundTripsAndRefusesUpperCaseAndOddLengths) {
    Bytes bytes{0x00, 0x9f, 0xff};
    EXPECT_EQ(to_hex(bytes), "009fff");
    EXPECT_EQ(from_hex("009fff"), bytes);
    for (const char* text : {"0", "0G", "FF", " 00"})
        EXPECT_FALSE(from_hex(text)) << text;
}

TEST(Sha256, AgreesWithFips180) {
    EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    Sha256 hash;
    hash.update("a");
    hash.update("bc");
    EXPECT_EQ(hash.finish(), sha256("abc"));
}

} // namespace
} // namespace waggle
