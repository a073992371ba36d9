#include "shared/protocol/secret_file.hpp"

#include "shared/base/enum_text.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace waggle::protocol {

namespace {

constexpr size_t max_account_bytes = 31; // utmp holds no more (systemd, valid_user_group_name)
constexpr size_t max_secret_name_bytes = 128;
constexpr size_t max_unit_bytes = 255; // systemd, UNIT_NAME_MAX
constexpr std::uint32_t max_permissions = 0777;

constexpr EnumText<UploadAt, UploadAt::post_activation> upload_times({{
    {UploadAt::pre_activation, "pre-activation"},
    {UploadAt::post_activation, "post-activation"},
}});

bool consists_of(std::string_view text, std::string_view others) {
    return std::ranges::all_of(text, [&](char c) { return is_letter_or_digit(c) || others.find(c) != others.npos; });
}

bool is_below(std::string_view path, std::string_view folder) {
    return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

} // namespace

std::string_view to_string(UploadAt upload_at) {
    return upload_times.to_string(upload_at);
}

std::optional<UploadAt> parse_upload_at(std::string_view text) {
    return upload_times.parse(text);
}

bool is_account_name(std::string_view text) {
    if (text.empty() || text.size() > max_account_bytes || text.front() == '-' || text.front() == '.')
        return false;
    const bool number = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    return !number && consists_of(text, "_.-");
}

bool is_secret_name(std::string_view text) {
    return !text.empty() && text.size() <= max_secret_name_bytes && text.front() != '-' && text.front() != '.' &&
           consists_of(text, "_.-");
}

bool is_secret_path(std::string_view text) {
    constexpr std::array<std::string_view, 4> not_ours = {"/nix/store", "/proc", "/sys", "/dev"};
    if (!text.starts_with('/') || text.size() > max_secret_path_bytes || !consists_of(text, "/._@:+,=~-") ||
        std::ranges::any_of(not_ours, [&](std::string_view folder) { return is_below(text, folder); }))
        return false;
    size_t parts = 0;
    while (!text.empty()) {
        text.remove_prefix(1);
        const auto part = text.substr(0, text.find('/'));
        if (part.empty() || part == "." || part == "..")
            return false;
        text.remove_prefix(part.size());
        ++parts;
    }
    return parts > 1;
}

bool is_unit_name(std::string_view text) {
    constexpr std::array<std::string_view, 9> types = {"service", "socket", "target", "timer", "path",
                                                       "mount",   "scope",  "slice",  "swap"};
    const auto dot = text.rfind('.');
    return dot != text.npos && dot > 0 && text.size() <= max_unit_bytes && text.front() != '-' &&
           consists_of(text, ":_.@\\-") && std::ranges::find(types, text.substr(dot + 1)) != types.end();
}

std::string permissions_text(std::uint32_t permissions) {
    return fmt::format("{:04o}", permissions);
}

std::optional<std::uint32_t> parse_permissions(std::string_view text) {
    if ((text.size() != 3 && text.size() != 4) ||
        !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '7'; }))
        return std::nullopt;
    std::uint32_t permissions = 0;
    for (const char c : text)
        permissions = permissions * 8 + static_cast<std::uint32_t>(c - '0');
    return permissions <= max_permissions ? std::optional(permissions) : std::nullopt;
}

std::optional<std::string> problem_with(const SecretFile& file) {
    if (!is_secret_name(file.name))
        return fmt::format("its name {} cannot be part of a unit's name", in_quotes(file.name));
    if (!is_secret_path(file.path))
        return fmt::format("its path {} is not absolute, not in its shortest form, or in a reserved place",
                           in_quotes(file.path));
    if (!is_account_name(file.user))
        return fmt::format("its user {} is not a user's name", in_quotes(file.user));
    if (!is_account_name(file.group))
        return fmt::format("its group {} is not a group's name", in_quotes(file.group));
    if (file.permissions > max_permissions)
        return fmt::format("its permissions {:o} are more than 0777", file.permissions);
    for (const auto* units : {&file.restart_units, &file.reload_units}) {
        if (units->size() > max_secret_units)
            return fmt::format("it names more than {} units", max_secret_units);
        for (const auto& unit : *units)
            if (!is_unit_name(unit))
                return fmt::format("{} is not a unit's name (such as nginx.service)", in_quotes(unit));
    }
    return std::nullopt;
}

} // namespace waggle::protocol
