#pragma once

#include "shared/base/read_file.hpp"

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace waggle {

// Replaces the file so that after a power cut either the old or the new content is there:
// temporary file in the same folder, fsync, rename, fsync of the folder.
void write_file_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode);

// Removes from the folder the temporary files that killed writers left, of files whose names begin with `prefix`.
// Nobody may be writing one. No error when there is no such folder.
void remove_leftovers(const std::filesystem::path& folder, std::string_view prefix = {});

// Renames, within a folder, so that a power cut does not undo it.
void move_file(const std::filesystem::path& from, const std::filesystem::path& to);

// Removes the file and syncs its folder; no error when it is not there.
void remove_file(const std::filesystem::path& path);

// Replaces (or makes) the symbolic link so that after a power cut it names either the old or the new target.
void replace_link(const std::filesystem::path& link, std::string_view target);

// Makes the folder and those above it that are missing, so that what is put there has a place after a power cut, too.
void make_folders(const std::filesystem::path& folder);

void sync_folder(const std::filesystem::path& folder);

// All that was written to the file system that the folder is in, by whomever.
void sync_file_system(const std::filesystem::path& folder);

// What a symbolic link names; nullopt when there is none.
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
