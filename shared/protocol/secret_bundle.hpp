#pragma once

#include "shared/age/secret_bytes.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/secret_file.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

struct Secret {
    SecretFile file;
    age::SecretBytes content;

    bool operator==(const Secret&) const = default;
};

// All secrets of one node: the content of its sealed bundle. Hive, node and sequence are those of the deployment that
// brought it, so that no bundle can replace another.
struct SecretBundle {
    std::string hive;
    std::string node;
    std::int64_t sequence = 0;
    std::vector<Secret> secrets; // in the order of their names

    bool operator==(const SecretBundle&) const = default;
};

inline constexpr size_t max_secrets = 500;
inline constexpr size_t max_secret_bytes = 1 << 20;         // of one secret's content
inline constexpr size_t max_secret_content_bytes = 8 << 20; // of all together
inline constexpr size_t max_secret_header_bytes = 4 << 20;
inline constexpr size_t max_bundle_plaintext_bytes = 14 << 20; // sealed, it fits into max_secret_bundle_bytes

// The plaintext is a line of JSON (v, type "secrets", hive, node, sequence, secrets[] with "bytes" in place of the
// content), then the contents one after another, then NUL bytes up to a length that reveals little. The contents are
// not JSON, so that no parser makes copies of them that are never wiped.
// All throw BadDocument, naming the secret, if it exceeds a cap or breaks a rule.
void require_valid(const SecretBundle& bundle);
age::SecretBytes to_plaintext(const SecretBundle& bundle);
SecretBundle parse_secret_bundle(std::string_view plaintext);

// Throws BadDocument unless the bundle names the same target as the deployment that brought it.
void require_same_target(const SecretBundle& bundle, std::string_view hive, std::string_view node,
                         std::int64_t sequence);

// Makes the deployment's field for a sealed bundle.
Secrets replace_by(std::string_view sealed);

} // namespace waggle::protocol
