#pragma once

#include "shared/base/read_file.hpp"

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace waggle {

// Replaces the file such that a power cut leaves either the old or the new content: temporary file in the same folder,
// fsync, rename, fsync of the folder.
void write_file_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode);

// Removes from the folder the temporary files that killed writers have left of files whose names begin with `prefix`.
// No process may be writing one meanwhile. A missing folder is not an error.
void remove_leftovers(const std::filesystem::path& folder, std::string_view prefix = {});

// Renames within a folder, such that a power cut does not undo it.
void move_file(const std::filesystem::path& from, const std::filesystem::path& to);

// Removes the file and syncs its folder. A missing file is not an error.
void remove_file(const std::filesystem::path& path);

// Replaces (or makes) the symbolic link such that it names either the old or the new target after a power cut.
void replace_link(const std::filesystem::path& link, std::string_view target);

// Makes the folder and its missing parents, such that a power cut does not remove them.
void make_folders(const std::filesystem::path& folder);

void sync_folder(const std::filesystem::path& folder);

// Syncs everything that any process has written to the file system that contains the folder.
void sync_file_system(const std::filesystem::path& folder);

// Returns the target of a symbolic link, or nullopt if there is no link.
std::optional<std::filesystem::path> read_link(const std::filesystem::path& path);

// A new folder below $TMPDIR or /tmp, mode 0700, removed with its content at the end of the scope.
class TemporaryFolder {
public:
    explicit TemporaryFolder(std::string_view prefix = "waggle-");
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder();

    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

} // namespace waggle
