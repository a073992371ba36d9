#include "trigger/report/style.hpp"

#include "shared/base/enum_text.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace waggle::trigger {

using protocol::Outcome;

namespace {

constexpr EnumText<ColorChoice, ColorChoice::never> color_choices({{
    {ColorChoice::auto_, "auto"},
    {ColorChoice::always, "always"},
    {ColorChoice::never, "never"},
}});

} // namespace

std::vector<std::string> color_words() {
    std::vector<std::string> words;
    for (const ColorChoice choice : {ColorChoice::auto_, ColorChoice::always, ColorChoice::never})
        words.emplace_back(color_choices.to_string(choice));
    return words;
}

std::optional<ColorChoice> parse_color_choice(std::string_view word) {
    return color_choices.parse(word);
}

bool use_color(ColorChoice choice, bool is_terminal) {
    if (choice != ColorChoice::auto_)
        return choice == ColorChoice::always;
    const auto variable = [](const char* name) -> std::string_view {
        const char* value = std::getenv(name);
        return value ? value : "";
    };
    if (!variable("NO_COLOR").empty())
        return false;
    if (const auto force = variable("CLICOLOR_FORCE"); !force.empty() && force != "0")
        return true;
    return is_terminal && variable("CLICOLOR") != "0" && variable("TERM") != "dumb";
}

Style style_of(Outcome outcome) {
    switch (outcome) {
    case Outcome::ok: return Style::good;
    case Outcome::unchanged: return Style::dim;
    case Outcome::ok_units_failed:
    case Outcome::reboot_needed:
    case Outcome::interrupted: return Style::warning;
    default: return Style::bad;
    }
}

std::string styled(std::string_view text, Style style, bool color) {
    if (!color || style == Style::plain)
        return std::string(text);
    const std::string_view code = style == Style::good      ? "32"
                                  : style == Style::bad     ? "31"
                                  : style == Style::warning ? "33"
                                  : style == Style::dim     ? "2"
                                                            : "1";
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

} // namespace waggle::trigger
