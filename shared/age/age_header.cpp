#include "shared/age/age_header.hpp"

#include "shared/age/text_codes.hpp"

#include <algorithm>

namespace waggle::age {

namespace {

constexpr std::string_view version_line = "age-encryption.org/v1";
constexpr std::string_view stanza_mark = "-> ";
constexpr std::string_view end_mark = "---";
constexpr size_t columns = 64;

// Removes the next line from `rest` and returns it without its end. Returns nullopt if there is none.
std::optional<std::string_view> next_line(std::string_view& rest) {
    const auto end = rest.find('\n');
    if (end == rest.npos)
        return std::nullopt;
    const auto line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return line;
}

bool is_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= 33 && c <= 126; });
}

std::optional<std::vector<std::string_view>> split_words(std::string_view text) {
    std::vector<std::string_view> words;
    for (;;) {
        const auto space = text.find(' ');
        words.push_back(text.substr(0, space));
        if (!is_word(words.back()))
            return std::nullopt;
        if (space == text.npos)
            return words;
        text.remove_prefix(space + 1);
    }
}

// Full lines, then one that is not full and may be empty.
std::optional<Bytes> read_body(std::string_view& rest) {
    std::string base64;
    for (;;) {
        const auto line = next_line(rest);
        if (!line || line->size() > columns)
            return std::nullopt;
        base64.append(*line);
        if (line->size() < columns)
            return from_raw_base64(base64);
    }
}

} // namespace

std::string format_stanza(std::string_view words, std::span<const std::uint8_t> body) {
    std::string text(stanza_mark);
    text.append(words).append("\n");
    const auto base64 = to_raw_base64(body);
    for (size_t at = 0; at <= base64.size(); at += columns)
        text.append(base64, at, columns).append("\n");
    return text;
}

std::string format_unfinished_header(std::string_view stanzas) {
    return std::string(version_line).append("\n").append(stanzas).append(end_mark);
}

std::optional<AgeHeader> parse_age_header(std::string_view file, size_t max_bytes) {
    const auto beginning = file.substr(0, max_bytes);
    auto rest = beginning;
    AgeHeader header;
    if (next_line(rest) != version_line)
        return std::nullopt;
    for (;;) {
        const auto here = rest;
        const auto line = next_line(rest);
        if (!line)
            return std::nullopt;
        if (line->starts_with(stanza_mark)) {
            auto words = split_words(line->substr(stanza_mark.size()));
            auto body = words ? read_body(rest) : std::nullopt;
            if (!body)
                return std::nullopt;
            header.stanzas.push_back({std::move(*words), std::move(*body)});
            continue;
        }
        if (header.stanzas.empty() || !line->starts_with(end_mark) || line->substr(end_mark.size(), 1) != " ")
            return std::nullopt;
        auto mac = from_raw_base64(line->substr(end_mark.size() + 1));
        if (!mac || mac->size() != mac_bytes)
            return std::nullopt;
        header.mac = std::move(*mac);
        const auto authentic_bytes = static_cast<size_t>(here.data() - file.data()) + end_mark.size();
        header.authentic = file.substr(0, authentic_bytes);
        header.payload = file.substr(static_cast<size_t>(rest.data() - file.data()));
        return header;
    }
}

} // namespace waggle::age
