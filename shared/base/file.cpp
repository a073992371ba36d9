#include "shared/base/file.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"
#include "shared/base/fault.hpp"
#include "shared/base/fd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace waggle {

namespace {

using Moment = FaultPoint::Moment;

constexpr std::string_view temporary_suffix = ".tmp";

std::filesystem::path folder_of(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

std::filesystem::path name_beside(const std::filesystem::path& path) {
    auto temporary = path;
    temporary += fmt::format(".{}{}", to_hex(random_bytes<6>()), temporary_suffix);
    return temporary;
}

// The folder's entry is as it should be in memory. Makes it so on the disk.
void finish(const std::filesystem::path& path, FaultPoint& fault) {
    fault.at(Moment::changed);
    if (fault.syncs())
        sync_folder(folder_of(path));
    fault.at(Moment::after);
}

void rename_and_sync(const std::filesystem::path& from, const std::filesystem::path& to, FaultPoint& fault) {
    fault.will_change(to);
    FaultPoint::will_move(from, to);
    if (::rename(from.c_str(), to.c_str()) != 0)
        throw SystemError(fmt::format("renaming {} to {}", from.string(), to.string()));
    finish(to, fault);
}

} // namespace

void write_file_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode) {
    FaultPoint fault(path, content);
    fault.at(Moment::before);
    const auto temporary = name_beside(path);
    fault.will_change(temporary);
    Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd)
        throw SystemError(fmt::format("creating {}", temporary.string()));
    try {
        if (::fchmod(fd.get(), mode) != 0)
            throw SystemError(fmt::format("setting the mode of {}", temporary.string()));
        FaultPoint::has_content(temporary);
        std::string_view rest = content;
        while (!rest.empty()) {
            ssize_t count = ::write(fd.get(), rest.data(), rest.size());
            if (count > 0)
                rest.remove_prefix(static_cast<size_t>(count));
            else if (errno != EINTR)
                throw SystemError(fmt::format("writing {}", temporary.string()));
        }
        if (fault.syncs()) {
            if (::fsync(fd.get()) != 0)
                throw SystemError(fmt::format("syncing {}", temporary.string()));
            FaultPoint::is_synced(temporary);
        }
        fd.close();
        fault.at(Moment::written);
        rename_and_sync(temporary, path, fault);
    } catch (...) {
        ::unlink(temporary.c_str()); // fails, without harm, once the file has its new name
        throw;
    }
}

void move_file(const std::filesystem::path& from, const std::filesystem::path& to) {
    FaultPoint fault(to);
    fault.at(Moment::before);
    fault.will_change(from);
    rename_and_sync(from, to, fault);
}

void remove_file(const std::filesystem::path& path) {
    FaultPoint fault(path, FaultPoint::removal);
    fault.at(Moment::before);
    fault.will_change(path);
    if (::unlink(path.c_str()) != 0) {
        if (errno == ENOENT)
            return;
        throw SystemError(fmt::format("removing {}", path.string()));
    }
    finish(path, fault);
}

void remove_leftovers(const std::filesystem::path& folder, std::string_view prefix) {
    std::error_code no_folder;
    for (const auto& entry : std::filesystem::directory_iterator(folder, no_folder)) {
        const auto name = entry.path().filename().string();
        if (name.starts_with(prefix) && name.ends_with(temporary_suffix))
            remove_file(entry.path());
    }
}

void make_folders(const std::filesystem::path& folder) {
    if (std::filesystem::is_directory(folder))
        return;
    make_folders(folder_of(folder));
    FaultPoint fault(folder);
    fault.at(Moment::before);
    fault.will_change(folder);
    std::filesystem::create_directory(folder);
    finish(folder, fault);
}

void sync_folder(const std::filesystem::path& folder) {
    Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0)
        throw SystemError(fmt::format("syncing {}", folder.string()));
    FaultPoint::folder_is_synced(folder);
}

void sync_file_system(const std::filesystem::path& folder) {
    FaultPoint fault(folder);
    fault.at(Moment::before);
    if (fault.syncs()) {
        Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd)
            throw SystemError(fmt::format("opening {}", folder.string()));
#ifdef __linux__
        if (::syncfs(fd.get()) != 0)
            throw SystemError(fmt::format("syncing the file system of {}", folder.string()));
#else
        ::sync();
#endif
        FaultPoint::file_system_is_synced(folder);
    }
    fault.at(Moment::after);
}

void replace_link(const std::filesystem::path& link, std::string_view target) {
    FaultPoint fault(link);
    fault.at(Moment::before);
    const auto temporary = name_beside(link);
    fault.will_change(temporary);
    if (::symlink(std::string(target).c_str(), temporary.c_str()) != 0)
        throw SystemError(fmt::format("making the link {}", temporary.string()));
    try {
        fault.at(Moment::written);
        rename_and_sync(temporary, link, fault);
    } catch (...) {
        ::unlink(temporary.c_str());
        throw;
    }
}

std::optional<std::filesystem::path> read_link(const std::filesystem::path& path) {
    std::error_code error;
    auto target = std::filesystem::read_symlink(path, error);
    if (error)
        return std::nullopt;
    return target;
}

TemporaryFolder::TemporaryFolder(std::string_view prefix) {
    const char* base = std::getenv("TMPDIR");
    std::string pattern = fmt::format("{}/{}XXXXXX", base && *base ? base : "/tmp", prefix);
    if (!::mkdtemp(pattern.data()))
        throw SystemError(fmt::format("making a temporary folder {}", pattern));
    path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
    if (error)
        spdlog::warn("could not remove {}: {}", path_.string(), error.message());
}

} // namespace waggle
