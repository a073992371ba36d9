#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

// When the file is written: before or after the new system's activation.
enum class UploadAt { pre_activation, post_activation };
std::string_view to_string(UploadAt upload_at); // "pre-activation", …
std::optional<UploadAt> parse_upload_at(std::string_view text);

// A hive's description of a secret: everything but its content.
struct SecretFile {
    std::string name; // deployment.keys.<name>; the unit is <name>-key.service
    std::string path; // absolute; is_secret_path
    std::string user = "root";
    std::string group = "root";
    std::uint32_t permissions = 0600;
    UploadAt upload_at = UploadAt::pre_activation;
    std::vector<std::string> restart_units = {};
    std::vector<std::string> reload_units = {};
    bool needed_for_users = false; // installed before users are created; then owned by root

    bool operator==(const SecretFile&) const = default;
};

inline constexpr size_t max_secret_path_bytes = 512;
inline constexpr size_t max_secret_units = 64; // in restartUnits or reloadUnits

// Returns nullopt, or the problem with it ("its path … is not …"). nixos-module/keys-options.nix has the same rules.
std::optional<std::string> problem_with(const SecretFile& file);

// User and group names as POSIX and systemd accept them: up to 31 of A-Z a-z 0-9 _ . -, neither a number nor beginning
// with "-" or ".".
bool is_account_name(std::string_view text);
// deployment.keys.<name>: [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}, which a unit's name can hold.
bool is_secret_name(std::string_view text);
// An absolute path in its shortest form (no "//", "." or ".."), of A-Z a-z 0-9 / . _ @ : + , = ~ -, at least one folder
// deep, and neither in the store nor in /proc, /sys or /dev.
bool is_secret_path(std::string_view text);
// A unit's name with its type: "nginx.service".
bool is_unit_name(std::string_view text);

std::string permissions_text(std::uint32_t permissions);               // "0600"
std::optional<std::uint32_t> parse_permissions(std::string_view text); // three or four octal digits, at most 0777

} // namespace waggle::protocol
