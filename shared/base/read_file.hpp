#pragma once

#include "shared/base/fd.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace waggle {

// The file's content. Throws SystemError, or Error when it is larger than `cap_bytes`.
std::string read_file(const std::filesystem::path& path, size_t cap_bytes);

// What can be read from an open file; `path` is its name in errors. Throws as read_file.
std::string read_all(const Fd& fd, const std::filesystem::path& path, size_t cap_bytes);

// As read_file, but nullopt when there is no such file.
std::optional<std::string> read_file_if_exists(const std::filesystem::path& path, size_t cap_bytes);

} // namespace waggle
