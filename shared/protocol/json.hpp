#pragma once

#include "shared/base/error.hpp"
#include "shared/base/hash.hpp"
#include "shared/base/time.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

// A document or message that is not valid. The message names the field.
class BadDocument : public Error {
public:
    using Error::Error;
};

using Json = nlohmann::json;

inline constexpr std::int64_t max_safe_integer = (std::int64_t{1} << 53) - 1; // RFC 8259 section 6

// Parses one JSON value: UTF-8, no duplicate keys, at most 16 levels deep, nothing after it.
Json parse_json(std::string_view text, std::string_view what);

// Returns the text as a JSON string in ASCII, cut to a length that fits into a sentence, for messages that show
// untrusted text.
std::string in_quotes(std::string_view text);

// Returns the JSON text on one line. Bytes that are not UTF-8 (a unit's log may hold any) become U+FFFD.
std::string dump_json(const Json& json);

// Reads the fields of a JSON object and rejects missing fields, fields of another type, and unknown ones.
//     Fields f(json, "deployment");
//     d.node = f.string("node");
//     f.end();   // throws for a key that was not read
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
    std::string name(std::string_view key);                     // of a hive or node
    std::string base64(std::string_view key, size_t max_bytes); // the decoded bytes
    Sha256Digest digest(std::string_view key);                  // 64 hexadecimal digits
    Time time(std::string_view key);                            // RFC 3339
    void header(std::string_view type, std::int64_t version);   // "type" and "v" must be these
    void end() const;

    [[noreturn]] void fail(std::string_view key, std::string_view problem) const;

private:
    const Json& object_;
    std::string what_;
    std::vector<std::string> seen_;
};

} // namespace waggle::protocol
