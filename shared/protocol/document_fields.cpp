#include "shared/protocol/document_fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace waggle::protocol {

namespace {

bool is_system(std::string_view text) {
    auto lower_or_digit = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    auto dash = text.find('-');
    if (dash == text.npos || dash == 0 || dash + 1 == text.size() || text.size() > 64)
        return false;
    return std::ranges::all_of(text.substr(0, dash), [&](char c) { return lower_or_digit(c) || c == '_'; }) &&
           std::ranges::all_of(text.substr(dash + 1), lower_or_digit);
}

} // namespace

std::uint64_t count(Fields& fields, std::string_view key, std::uint64_t max) {
    return static_cast<std::uint64_t>(fields.integer(key, 1, static_cast<std::int64_t>(max)));
}

Json to_json(const std::vector<ssh::PublicKey>& node_keys) {
    Json keys = Json::array();
    for (const auto& key : node_keys)
        keys.push_back(key.to_string());
    return keys;
}

std::vector<ssh::PublicKey> read_node_keys(Fields& fields) {
    std::vector<ssh::PublicKey> keys;
    for (const auto& item : fields.array("nodeKeys", max_node_keys)) {
        if (!item.is_string())
            fields.fail("nodeKeys", "has an item that is not a string");
        try {
            keys.push_back(ssh::PublicKey::parse(item.get_ref<const std::string&>()));
        } catch (const ssh::BadKey& error) {
            fields.fail("nodeKeys", fmt::format("has a bad key: {}", error.what()));
        }
        if (keys.back().to_string() != item.get_ref<const std::string&>())
            fields.fail("nodeKeys", "has a key that is not in the form \"ssh-ed25519 AAAA…\"");
    }
    if (keys.empty())
        fields.fail("nodeKeys", "is empty");
    return keys;
}

std::string read_system(Fields& fields) {
    auto system = fields.string("system");
    if (!is_system(system))
        fields.fail("system", fmt::format("is not a system such as x86_64-linux: {}", in_quotes(system)));
    return system;
}

nix::StorePath read_store_path(Fields& fields, std::string_view key) {
    try {
        return nix::StorePath::parse_absolute(fields.string(key));
    } catch (const nix::BadStorePath& error) {
        fields.fail(key, fmt::format("is not a store path: {}", error.what()));
    }
}

} // namespace waggle::protocol
