#include "shared/protocol/json.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/name.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace waggle::protocol {

namespace {

constexpr int max_depth = 16; // our deepest document has 4
constexpr size_t max_quoted_bytes = 64;

bool holds(const std::vector<std::string>& list, std::string_view text) {
    return std::ranges::find(list, text) != list.end();
}

} // namespace

std::string in_quotes(std::string_view text) {
    auto cut = text.substr(0, max_quoted_bytes);
    auto out = Json(std::string{cut}).dump(-1, ' ', true, Json::error_handler_t::replace);
    if (cut.size() < text.size())
        out += "…";
    return out;
}

std::string dump_json(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json parse_json(std::string_view text, std::string_view what) {
    // nlohmann takes a NUL for the end of the text, whatever follows it, and skips a byte order mark.
    if (text.find('\0') != text.npos)
        throw BadDocument(fmt::format("{}: not JSON: there is a NUL byte in it", what));
    if (text.starts_with("\xef\xbb\xbf"))
        throw BadDocument(fmt::format("{}: not JSON: it begins with a byte order mark", what));

    std::vector<std::set<std::string>> keys; // of the objects that are open
    using Part = Json::parse_event_t;
    auto refuse = [&](int depth, Part part, Json& value) {
        if ((part == Part::object_start || part == Part::array_start) && depth >= max_depth)
            throw BadDocument(fmt::format("{}: nested deeper than {} levels", what, max_depth));
        if (part == Part::object_start)
            keys.emplace_back();
        if (part == Part::object_end)
            keys.pop_back();
        if (part == Part::key && !keys.back().insert(value.get_ref<const std::string&>()).second)
            throw BadDocument(
                fmt::format("{}: the key {} is there twice", what, in_quotes(value.get_ref<const std::string&>())));
        return true;
    };
    try {
        return Json::parse(text, refuse);
    } catch (const Json::parse_error& error) {
        throw BadDocument(fmt::format("{}: not JSON (at byte {} of {})", what, error.byte, text.size()));
    } catch (const Json::exception&) {
        throw BadDocument(fmt::format("{}: not JSON (a number that is too large)", what));
    }
}

Fields::Fields(const Json& object, std::string_view what) : object_(object), what_(what) {
    if (!object_.is_object())
        throw BadDocument(fmt::format("{}: not a JSON object", what_));
}

const Json& Fields::at(std::string_view key) {
    auto found = object_.find(key);
    if (found == object_.end())
        fail(key, "is missing");
    if (!holds(seen_, key))
        seen_.emplace_back(key);
    return *found;
}

bool Fields::has(std::string_view key) const {
    return object_.contains(key);
}

bool Fields::is_null(std::string_view key) {
    return at(key).is_null();
}

std::string Fields::string(std::string_view key, size_t max_bytes) {
    const auto& value = at(key);
    if (!value.is_string())
        fail(key, "is not a string");
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() > max_bytes)
        fail(key, fmt::format("is longer than {} bytes", max_bytes));
    return text;
}

std::int64_t Fields::integer(std::string_view key, std::int64_t min, std::int64_t max) {
    const auto& value = at(key);
    if (!value.is_number_integer())
        fail(key, "is not an integer");
    // An unsigned value may not fit into a signed one.
    bool too_large = value.is_number_unsigned() &&
                     value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (too_large || value.get<std::int64_t>() < min || value.get<std::int64_t>() > max)
        fail(key, fmt::format("is not between {} and {}", min, max));
    return value.get<std::int64_t>();
}

bool Fields::boolean(std::string_view key) {
    const auto& value = at(key);
    if (!value.is_boolean())
        fail(key, "is not true or false");
    return value.get<bool>();
}

const Json& Fields::array(std::string_view key, size_t max_items) {
    const auto& value = at(key);
    if (!value.is_array())
        fail(key, "is not an array");
    if (value.size() > max_items)
        fail(key, fmt::format("has more than {} items", max_items));
    return value;
}

const Json& Fields::object(std::string_view key) {
    const auto& value = at(key);
    if (!value.is_object())
        fail(key, "is not an object");
    return value;
}

std::string Fields::name(std::string_view key) {
    auto text = string(key);
    if (!is_name(text))
        fail(key, fmt::format("is not a name: {}", in_quotes(text)));
    return text;
}

std::string Fields::base64(std::string_view key, size_t max_bytes) {
    auto bytes = from_base64(string(key, (max_bytes + 2) / 3 * 4));
    if (!bytes)
        fail(key, "is not base64");
    if (bytes->size() > max_bytes)
        fail(key, fmt::format("is longer than {} bytes", max_bytes));
    return std::string(as_text(*bytes));
}

Sha256Digest Fields::digest(std::string_view key) {
    Sha256Digest digest;
    auto bytes = from_hex(string(key));
    if (!bytes || bytes->size() != digest.size())
        fail(key, "is not a SHA-256 (64 lower-case hexadecimal digits)");
    std::ranges::copy(*bytes, digest.begin());
    return digest;
}

Time Fields::time(std::string_view key) {
    try {
        return parse_rfc3339(string(key));
    } catch (const BadDocument&) {
        throw;
    } catch (const Error&) {
        fail(key, "is not a time in UTC such as 2026-11-22T09:42:00.000Z");
    }
}

void Fields::header(std::string_view type, std::int64_t version) {
    if (auto given = string("type"); given != type)
        fail("type", fmt::format("is {}, not \"{}\"", in_quotes(given), type));
    if (auto given = integer("v"); given != version)
        fail("v", fmt::format("is {}, and this program knows {} only", given, version));
}

void Fields::end() const {
    for (const auto& [key, value] : object_.items())
        if (!holds(seen_, key))
            throw BadDocument(fmt::format("{}: unknown field {}", what_, in_quotes(key)));
}

void Fields::fail(std::string_view key, std::string_view problem) const {
    throw BadDocument(fmt::format("{}: field \"{}\" {}", what_, key, problem));
}

} // namespace waggle::protocol
