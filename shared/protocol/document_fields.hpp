#pragma once

#include "shared/nix/store_path.hpp"
#include "shared/protocol/json.hpp"
#include "shared/ssh/key.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Fields that signed documents have in common. The readers throw BadDocument; `what` names the document.
namespace waggle::protocol {

std::uint64_t count(Fields& fields, std::string_view key, std::uint64_t max);

inline constexpr size_t max_node_keys = 8;
Json to_json(const std::vector<ssh::PublicKey>& node_keys);
std::vector<ssh::PublicKey> read_node_keys(Fields& fields);

// Nix's name of a system: "x86_64-linux", "aarch64-linux".
std::string read_system(Fields& fields);

// Exactly N bytes, in base64.
template <size_t N>
std::array<std::uint8_t, N> read_bytes(Fields& fields, std::string_view key) {
    auto bytes = fields.base64(key, N);
    std::array<std::uint8_t, N> out;
    if (bytes.size() != N)
        fields.fail(key, fmt::format("is not {} bytes long", N));
    std::ranges::transform(bytes, out.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
    return out;
}

nix::StorePath read_store_path(Fields& fields, std::string_view key);

} // namespace waggle::protocol
