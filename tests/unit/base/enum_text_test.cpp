#include "shared/base/enum_text.hpp"

#include <gtest/gtest.h>

namespace waggle {

namespace {

enum class Color { red, dark_green };

constexpr EnumText<Color, Color::dark_green> colors({{{Color::dark_green, "dark-green"}, {Color::red, "red"}}});
static_assert(colors.to_string(Color::red) == "red");

struct Weight {
    Color color;
    int grams;
};
constexpr std::array complete = {Weight{Color::red, 3}, Weight{Color::dark_green, 5}};
constexpr std::array incomplete = {Weight{Color::red, 3}};
constexpr std::array doubled = {Weight{Color::red, 3}, Weight{Color::red, 5}, Weight{Color::dark_green, 5}};

TEST(EnumText, ReadsWhatItPrints) {
    for (const Color color : {Color::red, Color::dark_green})
        EXPECT_EQ(colors.parse(colors.to_string(color)), color);
    EXPECT_EQ(colors.to_string(Color::dark_green), "dark-green");
}

TEST(EnumText, ParsesNoOtherText) {
    for (const char* text : {"", "Red", "red ", "green"})
        EXPECT_EQ(colors.parse(text), std::nullopt) << text;
}

TEST(EnumText, ThrowsForAValueBeyondTheTable) {
    EXPECT_THROW(colors.to_string(static_cast<Color>(2)), std::logic_error);
}

TEST(EnumText, CompletenessOfATableIsChecked) {
    EXPECT_TRUE(has_each_once(complete, &Weight::color, Color::dark_green));
    EXPECT_FALSE(has_each_once(incomplete, &Weight::color, Color::dark_green));
    EXPECT_FALSE(has_each_once(doubled, &Weight::color, Color::dark_green));
    EXPECT_FALSE(has_each_once(complete, &Weight::color, Color::red)) << "a row beyond the last enumerator";
    EXPECT_EQ(row_of(complete, &Weight::color, Color::dark_green).grams, 5);
    EXPECT_THROW(row_of(incomplete, &Weight::color, Color::dark_green), std::logic_error);
}

} // namespace

} // namespace waggle
