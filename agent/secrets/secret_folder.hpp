#pragma once

#include "agent/secrets/accounts.hpp"
#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"
#include "shared/secret/secret_bytes.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>

namespace waggle::agent {

// A path that is not what it should be: a link, a special file, a folder that everybody can write to.
class HostilePath : public Error {
public:
    using Error::Error;
};

// A folder with secrets, reached from / without following any link, and held open: what is done in it is done in this
// folder, wherever its path leads by then.
class SecretFolder {
public:
    // nullopt: there is none. Throws HostilePath, SystemError.
    static std::optional<SecretFolder> open(const std::filesystem::path& path);
    // Makes what is missing: the last folder 0750 root:keys as NixOS makes /run/keys (0700 where there is no group
    // keys), those above it 0755.
    static SecretFolder make(const std::filesystem::path& path, const Accounts& accounts);

    // nullopt: no such file. Throws HostilePath for anything but a regular file.
    std::optional<struct stat> look(const std::string& name) const;
    bool has_content(const std::string& name, const secret::SecretBytes& content) const;

    // A new file beside `name`, with owner and mode before content, synced; it takes the name's place, and keeps it
    // after a power cut, with put_in_place.
    void write_new(const std::string& name, uid_t user, gid_t group, mode_t mode,
                   const secret::SecretBytes& content) const;
    void put_in_place(const std::string& name) const;
    void remove_new(const std::string& name) const noexcept; // what a write that was cut off left, too
    bool remove(const std::string& name) const;              // a regular file; false when there is none

private:
    SecretFolder(std::filesystem::path path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    std::string shown(const std::string& name) const { return (path_ / name).string(); }

    std::filesystem::path path_;
    Fd fd_;
};

} // namespace waggle::agent
