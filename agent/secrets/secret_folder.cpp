#include "agent/secrets/secret_folder.hpp"

#include "shared/base/fault.hpp"
#include "shared/base/time.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace waggle::agent {

namespace {

using Moment = FaultPoint::Moment;

constexpr mode_t new_folder_mode = 0750; // with the group keys
constexpr mode_t private_folder_mode = 0700;
constexpr mode_t parent_folder_mode = 0755;
constexpr auto folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr std::chrono::minutes write_timeout{10}; // for a regular file; never reached

std::string temporary_name(const std::string& name) {
    return fmt::format(".{}.waggle-new", name);
}

// Opens one name at a time by openat(2) with O_NOFOLLOW, because kernels may be older than openat2(2).
Fd open_child(const Fd& folder, const std::filesystem::path& path, const std::string& name) {
    Fd child(::openat(folder.get(), name.c_str(), folder_flags));
    if (child || errno == ENOENT)
        return child;
    if (errno == ELOOP || errno == ENOTDIR)
        throw HostilePath(fmt::format("{} is not a folder but a link or another file: secrets are not written "
                                      "through it; name the real path in destDir",
                                      path.string()));
    throw SystemError(fmt::format("opening {}", path.string()));
}

struct stat look_at(const Fd& folder, const std::filesystem::path& path) {
    struct stat about{};
    if (::fstat(folder.get(), &about) != 0)
        throw SystemError(fmt::format("inspecting {}", path.string()));
    return about;
}

// Checks a folder in which secrets are only removed or compared.
void refuse_open_to_all(const Fd& folder, const std::filesystem::path& path) {
    const auto about = look_at(folder, path);
    if ((about.st_mode & S_IWOTH) != 0 && (about.st_mode & S_ISVTX) == 0)
        throw HostilePath(fmt::format("refusing to write secrets to world-writable directory {}", path.string()));
}

// The user whose secret is written, and the home folders that belong to that user.
struct Owner {
    std::string name;
    std::optional<uid_t> user;
    std::optional<Home> home;

    bool is(uid_t id) const { return user == id; }
    bool has_home(const std::filesystem::path& path) const {
        return home && (path == home->folder || path == std::filesystem::path("/home") / name);
    }
};

Owner owner_named(const std::string& name, const Accounts& accounts) {
    return {.name = name, .user = accounts.user(name), .home = accounts.home(name)};
}

bool is_ours(uid_t id) {
    return id == 0 || id == ::geteuid();
}

void refuse_replaceable(const Fd& folder, const std::filesystem::path& path, const Owner& owner,
                        const Accounts& accounts) {
    const auto about = look_at(folder, path);
    if (!is_ours(about.st_uid) && !owner.is(about.st_uid))
        throw HostilePath(fmt::format("{} belongs to {}, who could replace the secret: it must belong to root{}",
                                      path.string(), accounts.name_of_user(about.st_uid),
                                      owner.name == "root" ? "" : " or to " + owner.name));
    const bool sticky = (about.st_mode & S_ISVTX) != 0 && is_ours(about.st_uid);
    const bool others_write = (about.st_mode & S_IWOTH) != 0 || ((about.st_mode & S_IWGRP) != 0 && about.st_gid != 0);
    if (others_write && !sticky)
        throw HostilePath(
            fmt::format("users other than the owner of {} can write to it, and could replace the secret: chmod go-w {}",
                        path.string(), path.string()));
}

// Walks from / and calls `check` for each folder. `on_missing` creates a missing folder, or returns false.
template <class Check, class OnMissing>
std::optional<Fd> walk(const std::filesystem::path& path, const Check& check, const OnMissing& on_missing) {
    Fd folder(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder)
        throw SystemError("opening /");
    std::filesystem::path at = "/";
    for (const auto& part : path.relative_path()) {
        const auto name = part.string();
        at /= part;
        if (name.empty() || name == "." || name == "..")
            throw HostilePath(fmt::format("{} is not a plain path", path.string()));
        auto child = open_child(folder, at, name);
        if (!child) {
            if (!on_missing(folder, at, name))
                return std::nullopt;
            child = open_child(folder, at, name);
            if (!child)
                throw SystemError(fmt::format("opening {}", at.string()), ENOENT);
        }
        folder = std::move(child);
        check(folder, at);
    }
    return folder;
}

void sync(const Fd& folder, const std::filesystem::path& path) {
    if (::fsync(folder.get()) != 0)
        throw SystemError(fmt::format("syncing {}", path.string()));
    FaultPoint::folder_is_synced(path);
}

// Syncs the folder after a change to one of its entries.
void finish(const Fd& folder, const std::filesystem::path& path, FaultPoint& fault) {
    fault.at(Moment::changed);
    if (fault.syncs())
        sync(folder, path);
    fault.at(Moment::after);
}

struct FolderOwner {
    uid_t user = ::geteuid(); // the user that installs secrets: root
    std::optional<gid_t> group = std::nullopt;
};

void make_folder(const Fd& parent, const std::filesystem::path& path, const std::string& name, mode_t mode,
                 const FolderOwner& owner) {
    FaultPoint fault(path);
    fault.at(Moment::before);
    fault.will_change(path);
    // Private until its group is set. Another process may create it at the same moment.
    if (::mkdirat(parent.get(), name.c_str(), private_folder_mode) != 0 && errno != EEXIST)
        throw SystemError(fmt::format("making the folder {}", path.string()));
    const Fd made(::openat(parent.get(), name.c_str(), folder_flags));
    if (!made)
        throw SystemError(fmt::format("making the folder {}", path.string()));
    if (!is_ours(look_at(made, path).st_uid)) // another user was faster
        throw HostilePath(fmt::format("{} was made by another user at this moment", path.string()));
    if ((owner.group && ::fchown(made.get(), owner.user, *owner.group) != 0) || ::fchmod(made.get(), mode) != 0)
        throw SystemError(fmt::format("making the folder {}", path.string()));
    finish(parent, path.parent_path(), fault);
}

} // namespace

std::optional<SecretFolder> SecretFolder::open(const std::filesystem::path& path) {
    auto fd = walk(path, refuse_open_to_all, [](const Fd&, const auto&, const auto&) { return false; });
    return fd ? std::optional(SecretFolder(path, std::move(*fd))) : std::nullopt;
}

SecretFolder SecretFolder::make(const std::filesystem::path& path, const std::string& user, const Accounts& accounts) {
    const auto owner = owner_named(user, accounts);
    bool at_home = false; // in the owner's home, or below it
    const auto check = [&](const Fd& folder, const std::filesystem::path& at) {
        refuse_replaceable(folder, at, owner, accounts);
        const bool own = owner.is(look_at(folder, at).st_uid);
        at_home = own && (at_home || owner.has_home(at) || !is_ours(*owner.user));
    };
    const auto make_missing = [&](const Fd& parent, const std::filesystem::path& at, const std::string& name) {
        if (owner.user && owner.home && (at_home || owner.has_home(at))) {
            make_folder(parent, at, name, private_folder_mode, {.user = *owner.user, .group = owner.home->group});
        } else if (at != path) {
            make_folder(parent, at, name, parent_folder_mode, {});
        } else {
            const auto keys = accounts.group("keys");
            make_folder(parent, at, name, keys ? new_folder_mode : private_folder_mode, {.group = keys});
        }
        return true;
    };
    auto fd = walk(path, check, make_missing);
    return {path, std::move(*fd)};
}

std::optional<struct stat> SecretFolder::look(const std::string& name) const {
    struct stat about{};
    if (::fstatat(fd_.get(), name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return std::nullopt;
        throw SystemError(fmt::format("inspecting {}", shown(name)));
    }
    if (!S_ISREG(about.st_mode))
        throw HostilePath(fmt::format("{} is there as a link or another kind of file: it is left as it is, and the "
                                      "secret is not written",
                                      shown(name)));
    return about;
}

bool SecretFolder::has_content(const std::string& name, const age::SecretBytes& content) const {
    const Fd file(::openat(fd_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file)
        return false;
    age::SecretBytes found(content.size() + 1);
    size_t size = 0;
    while (size < found.size()) {
        const auto count = ::read(file.get(), found.data() + size, found.size() - size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        if (count == 0)
            break;
        size += static_cast<size_t>(count);
    }
    return size == content.size() && CRYPTO_memcmp(found.data(), content.data(), size) == 0;
}

void SecretFolder::write_new(const std::string& name, uid_t user, gid_t group, mode_t mode,
                             const age::SecretBytes& content) const {
    const auto temporary = temporary_name(name);
    FaultPoint fault(path_ / name);
    fault.at(Moment::before);
    fault.will_change(path_ / temporary);
    if (::unlinkat(fd_.get(), temporary.c_str(), 0) != 0 && errno != ENOENT)
        throw SystemError(fmt::format("removing {}", shown(temporary)));
    const Fd file(::openat(fd_.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0));
    if (!file)
        throw SystemError(fmt::format("creating {}", shown(temporary)));
    // A change of owner clears bits of the mode, so the mode comes second.
    if (::fchown(file.get(), user, group) != 0 || ::fchmod(file.get(), mode) != 0)
        throw SystemError(fmt::format("setting owner and mode of {}", shown(temporary)));
    FaultPoint::has_content(path_ / temporary);
    write_all(file, std::as_bytes(std::span(content)), deadline_in(write_timeout));
    if (fault.syncs()) {
        if (::fsync(file.get()) != 0)
            throw SystemError(fmt::format("syncing {}", shown(temporary)));
        FaultPoint::is_synced(path_ / temporary);
    }
    fault.at(Moment::written);
}

void SecretFolder::put_in_place(const std::string& name) const {
    const auto temporary = temporary_name(name);
    FaultPoint fault(path_ / name);
    fault.will_change(path_ / name);
    FaultPoint::will_move(path_ / temporary, path_ / name);
    if (::renameat(fd_.get(), temporary.c_str(), fd_.get(), name.c_str()) != 0)
        throw SystemError(fmt::format("putting {} in place", shown(name)));
    finish(fd_, path_, fault);
}

void SecretFolder::remove_new(const std::string& name) const noexcept {
    ::unlinkat(fd_.get(), temporary_name(name).c_str(), 0);
}

bool SecretFolder::remove(const std::string& name) const {
    if (!look(name))
        return false;
    FaultPoint fault(path_ / name, FaultPoint::removal);
    fault.at(Moment::before);
    fault.will_change(path_ / name);
    if (::unlinkat(fd_.get(), name.c_str(), 0) != 0 && errno != ENOENT)
        throw SystemError(fmt::format("removing {}", shown(name)));
    finish(fd_, path_, fault);
    return true;
}

} // namespace waggle::agent
