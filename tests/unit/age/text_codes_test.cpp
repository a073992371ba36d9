#include "shared/age/text_codes.hpp"

#include <gtest/gtest.h>

namespace waggle::age {
namespace {

Bytes bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

TEST(RawBase64, HasNoPadding) {
    EXPECT_EQ(to_raw_base64(bytes("")), "");
    EXPECT_EQ(to_raw_base64(bytes("f")), "Zg");
    EXPECT_EQ(to_raw_base64(bytes("fo")), "Zm8");
    EXPECT_EQ(to_raw_base64(bytes("foo")), "Zm9v");
    EXPECT_EQ(from_raw_base64("Zm8"), bytes("fo"));
    EXPECT_EQ(from_raw_base64(""), bytes(""));
}

TEST(RawBase64, AcceptsOnlyTheCanonicalForm) {
    for (const char* text : {"Zg==", "Zg=", "Zh", "Zm9", "Z", "Zm9vZ", "Zm 8", "Zm8\n", "Zm-_"})
        EXPECT_FALSE(from_raw_base64(text)) << text;
}

// Valid and invalid strings of BIP 173. Witness programs are out of scope, so only the encoding is tested.
TEST(Bech32, AcceptsAndRefusesTheExamplesOfBip173) {
    for (const char* text : {"A12UEL5L", "a12uel5l", "?1ezyfcl"})
        EXPECT_TRUE(from_bech32(text)) << text;
    for (const char* text : {"A1G7SGD8", "10a06t8", "1qzzfhee", "de1lg7wt\xff", "li1dgmt3", "x1b4n0q5v",
                             "1pzry9x0s0muk", "pzry9x0s0muk", "a12UEL5L", ""})
        EXPECT_FALSE(from_bech32(text)) << text;
}

TEST(Bech32, RoundTripsAndDetectsAChangedCharacter) {
    for (const size_t size : {1u, 2u, 5u, 31u, 32u, 33u, 200u}) {
        Bytes value(size);
        fill_random(value);
        const auto text = to_bech32("age", value);
        const auto read = from_bech32(text);
        ASSERT_TRUE(read) << text;
        EXPECT_EQ(read->prefix, "age");
        EXPECT_FALSE(read->upper_case);
        EXPECT_EQ(Bytes(read->bytes.begin(), read->bytes.end()), value);
        auto changed = text;
        changed.back() = changed.back() == 'q' ? 'p' : 'q';
        EXPECT_FALSE(from_bech32(changed));
    }
}

} // namespace
} // namespace waggle::age
