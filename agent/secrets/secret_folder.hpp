#pragma once

#include "agent/secrets/accounts.hpp"
#include "shared/age/secret_bytes.hpp"
#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::agent {

// The path is unsafe: a link, a special file, or a directory that another user owns or can write to.
class HostilePath : public Error {
public:
    using Error::Error;
};

// A directory with secrets, opened from / without following any link. Operations apply to this directory, even if its
// path later leads elsewhere.
class SecretFolder {
public:
    // Returns nullopt if it does not exist. Throws HostilePath, SystemError.
    static std::optional<SecretFolder> open(const std::filesystem::path& path);
    // Opens or creates the directory for a secret of this user. Every directory on the path must belong to root or to
    // that user, and no other user may be able to write to it and replace the secret; a sticky directory of root's,
    // such as /tmp, is accepted. Creates missing directories: in the user's home with mode 0700 and the user as owner;
    // elsewhere the last one with mode 0750 and owner root:keys, as NixOS creates /run/keys (0700 without a group
    // keys), and those above it with mode 0755.
    static SecretFolder make(const std::filesystem::path& path, const std::string& user, const Accounts& accounts);

    // Returns nullopt if there is no such file. Throws HostilePath for anything but a regular file.
    std::optional<struct stat> look(const std::string& name) const;
    bool has_content(const std::string& name, const age::SecretBytes& content) const;

    // Writes and syncs a temporary file next to `name`, and sets owner and mode before the content. put_in_place
    // renames it durably.
    void write_new(const std::string& name, uid_t user, gid_t group, mode_t mode,
                   const age::SecretBytes& content) const;
    void put_in_place(const std::string& name) const;
    void remove_new(const std::string& name) const noexcept; // also the remains of an interrupted write
    bool remove(const std::string& name) const;              // a regular file; returns false if there is none

private:
    SecretFolder(std::filesystem::path path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    std::string shown(const std::string& name) const { return (path_ / name).string(); }

    std::filesystem::path path_;
    Fd fd_;
};

} // namespace waggle::agent
