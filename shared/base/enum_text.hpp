#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace waggle {

// Whether a table has exactly one row for each enumerator up to `last`, which must be the last one of its type.
// `key` is the row's member with the enumerator. For static_assert beside tables with more columns than EnumText.
template <class Rows, class Row, class E>
constexpr bool has_each_once(const Rows& rows, E Row::* key, E last) {
    for (size_t value = 0; value <= static_cast<size_t>(last); ++value) {
        size_t count = 0;
        for (const Row& row : rows)
            count += static_cast<size_t>(row.*key) == value ? 1 : 0;
        if (count != 1)
            return false;
    }
    return rows.size() == static_cast<size_t>(last) + 1;
}

// Returns the row of an enumerator. Throws std::logic_error if the table has none.
template <class Rows, class Row, class E>
constexpr const Row& row_of(const Rows& rows, E Row::* key, E value) {
    for (const Row& row : rows) {
        if (row.*key == value)
            return row;
    }
    throw std::logic_error("a table lacks an enumerator");
}

template <class E>
struct EnumTextRow {
    E value;
    std::string_view text;
};

// The texts of an enum's values, in both directions. The compiler rejects a table that lacks an enumerator up to
// `last`, which must be the last one of the enum, and one in which a text is empty or occurs twice.
template <class E, E last>
class EnumText {
public:
    using Row = EnumTextRow<E>;
    static constexpr size_t count = static_cast<size_t>(last) + 1;

    consteval explicit EnumText(const std::array<Row, count>& rows) : rows_(rows) {
        if (!has_each_once(rows_, &Row::value, last))
            throw std::logic_error("an enumerator is missing, or has two texts");
        for (size_t i = 0; i < count; ++i) {
            if (rows_[i].text.empty())
                throw std::logic_error("a text is empty");
            for (size_t other = 0; other < i; ++other) {
                if (rows_[i].text == rows_[other].text)
                    throw std::logic_error("two enumerators have the same text");
            }
        }
    }

    constexpr std::string_view to_string(E value) const { return row_of(rows_, &Row::value, value).text; }

    constexpr std::optional<E> parse(std::string_view text) const {
        for (const Row& row : rows_) {
            if (row.text == text)
                return row.value;
        }
        return std::nullopt;
    }

private:
    std::array<Row, count> rows_;
};

} // namespace waggle
