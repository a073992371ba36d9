#pragma once

#include "shared/base/error.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>

namespace waggle::protocol {

// A document or message that is not what it must be; the message names the field.
class BadDocument : public Error {
public:
    using Error::Error;
};

using Json = nlohmann::json;

inline constexpr std::int64_t max_safe_integer = (std::int64_t{1} << 53) - 1; // RFC 8259 section 6

// Parses one JSON value: UTF-8, no duplicate keys, at most 16 levels deep, nothing after it.
Json parse_json(std::string_view text, std::string_view what);

// Reads the fields of a JSON object and refuses what is missing, of another type, or left over.
//     Fields f(json, "deployment");
//     d.node = f.string("node");
//     f.end();   // throws for a key nobody asked for
class Fields {
public:
    Fields(const Json& object, std::string_view what);

    const Json& at(std::string_view key);
    bool has(std::string_view key) const; // optional keys
    bool is_null(std::string_view key);   // present and null
    std::string string(std::string_view key, size_t max_bytes = 4096);
    std::int64_t integer(std::string_view key, std::int64_t min = 0, std::int64_t max = max_safe_integer);
    bool boolean(std::string_view key);
    const Json& array(std::string_view key, size_t max_items);
    const Json& object(std::string_view key);
    void end() const;

    [[noreturn]] void fail(std::string_view key, std::string_view problem) const;

private:
    const Json& object_;
    std::string what_;
    std::vector<std::string> seen_;
};

} // namespace waggle::protocol
