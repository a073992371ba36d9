#pragma once

#include "shared/base/fd.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace waggle {

// Returns the file's content. Throws SystemError, or Error if it is larger than `cap_bytes`.
std::string read_file(const std::filesystem::path& path, size_t cap_bytes);

// Returns the remaining content of an open file; `path` is its name in errors. Throws like read_file.
std::string read_all(const Fd& fd, const std::filesystem::path& path, size_t cap_bytes);

// Like read_file, but returns nullopt if the file does not exist.
std::optional<std::string> read_file_if_exists(const std::filesystem::path& path, size_t cap_bytes);

} // namespace waggle
