#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::trigger {

// Returns why the content of a file or folder must not be trusted, and what to do: it belongs to a user other than this
// one and root, who control this process anyway, or every user can write to it. Otherwise returns nullopt. Follows
// links; a missing file is fine.
std::optional<std::string> reason_to_distrust(const std::filesystem::path& path);

// Makes the folder with mode 0700, and the folders above it. Returns false unless it belongs to this user, is not a
// symbolic link, and has that mode. Corrects the mode of a folder that only this user can write to.
bool make_private_folder(const std::filesystem::path& folder);

// Returns the content of a file that belongs to this user, is not a symbolic link, and is not writable by others.
// Returns nullopt for any other file, or if there is none. Throws what read_all throws.
std::optional<std::string> read_own_file(const std::filesystem::path& path, size_t cap_bytes);

// Throws Error, like ssh, if other users can read this user's private key.
void require_private_key_file(const std::filesystem::path& path);

} // namespace waggle::trigger
