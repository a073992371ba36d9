#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::trigger {

// Whether what is in a file or folder can be by somebody else than this user and root, who decide what runs here
// anyway: nullopt, or why it is not to be trusted and what to do. Links are followed; a file that is not there is fine.
std::optional<std::string> reason_to_distrust(const std::filesystem::path& path);

// Makes the folder, mode 0700, with those above it. False unless it is this user's own, no symbolic link, and of that
// mode; the mode of one that nobody else can write to is corrected.
bool make_private_folder(const std::filesystem::path& folder);

// The content of a file that is this user's own, no symbolic link, and not writable by others; nullopt for any other,
// and where there is none. Throws as read_file.
std::optional<std::string> read_own_file(const std::filesystem::path& path, size_t cap_bytes);

// Throws Error, as ssh does, when others can read this user's private key.
void require_private_key_file(const std::filesystem::path& path);

} // namespace waggle::trigger
