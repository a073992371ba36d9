#include "trigger/base/trusted_file.hpp"

#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"
#include "shared/base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace waggle::trigger {

namespace fs = std::filesystem;

namespace {

constexpr mode_t others_write = S_IWGRP | S_IWOTH;
constexpr mode_t others_all = S_IRWXG | S_IRWXO;
constexpr mode_t private_folder = S_IRWXU;
constexpr mode_t permissions = 07777;

} // namespace

std::optional<std::string> reason_to_distrust(const fs::path& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0)
        return std::nullopt;
    if (status.st_uid != ::geteuid() && status.st_uid != 0)
        return fmt::format("{} belongs to another user (id {}), who can put anything into it: chown it", path.string(),
                           status.st_uid);
    if (status.st_mode & S_IWOTH)
        return fmt::format("{} can be written by every user: chmod o-w it", path.string());
    return std::nullopt;
}

bool make_private_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder.parent_path(), error);
    if (error || (::mkdir(folder.c_str(), private_folder) != 0 && errno != EEXIST))
        return false;
    const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0 || status.st_uid != ::geteuid() || (status.st_mode & others_write))
        return false;
    return (status.st_mode & permissions) == private_folder || ::fchmod(fd.get(), private_folder) == 0;
}

std::optional<std::string> read_own_file(const fs::path& path, size_t cap_bytes) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != ::geteuid() ||
        (status.st_mode & others_write))
        return std::nullopt;
    return read_all(fd, path, cap_bytes);
}

void require_private_key_file(const fs::path& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0 || status.st_uid != ::getuid() || !(status.st_mode & others_all))
        return;
    throw Error(fmt::format("the private key {} can be read by other users (mode {:04o}), so it is not used: "
                            "`chmod 600 {}`, and replace the key if another user may have read it",
                            path.string(), status.st_mode & permissions, path.string()));
}

} // namespace waggle::trigger
