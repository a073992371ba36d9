#include "shared/base/file.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"
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

std::string read_all(const Fd& fd, const std::filesystem::path& path, size_t cap_bytes) {
    std::string content;
    char buffer[16384];
    for (;;) {
        ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
        if (count == 0)
            return content;
        if (count < 0) {
            if (errno == EINTR)
                continue;
            throw SystemError(fmt::format("reading {}", path.string()));
        }
        content.append(buffer, static_cast<size_t>(count));
        if (content.size() > cap_bytes)
            throw Error(fmt::format("{} is larger than the {} bytes expected at most", path.string(), cap_bytes));
    }
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

} // namespace

std::string read_file(const std::filesystem::path& path, size_t cap_bytes) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd)
        throw SystemError(fmt::format("opening {}", path.string()));
    return read_all(fd, path, cap_bytes);
}

std::optional<std::string> read_file_if_exists(const std::filesystem::path& path, size_t cap_bytes) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        if (errno == ENOENT || errno == ENOTDIR)
            return std::nullopt;
        throw SystemError(fmt::format("opening {}", path.string()));
    }
    return read_all(fd, path, cap_bytes);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode) {
    auto temporary = path;
    temporary += fmt::format(".{}.tmp", to_hex(random_bytes<6>()));
    Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd)
        throw SystemError(fmt::format("creating {}", temporary.string()));
    try {
        if (::fchmod(fd.get(), mode) != 0)
            throw SystemError(fmt::format("setting the mode of {}", temporary.string()));
        std::string_view rest = content;
        while (!rest.empty()) {
            ssize_t count = ::write(fd.get(), rest.data(), rest.size());
            if (count > 0)
                rest.remove_prefix(static_cast<size_t>(count));
            else if (errno != EINTR)
                throw SystemError(fmt::format("writing {}", temporary.string()));
        }
        if (::fsync(fd.get()) != 0)
            throw SystemError(fmt::format("syncing {}", temporary.string()));
        fd.close();
        if (::rename(temporary.c_str(), path.c_str()) != 0)
            throw SystemError(fmt::format("renaming {} to {}", temporary.string(), path.string()));
    } catch (...) {
        ::unlink(temporary.c_str());
        throw;
    }
    sync_folder(folder_of(path));
}

void remove_file(const std::filesystem::path& path) {
    if (::unlink(path.c_str()) != 0) {
        if (errno == ENOENT)
            return;
        throw SystemError(fmt::format("removing {}", path.string()));
    }
    sync_folder(folder_of(path));
}

void sync_folder(const std::filesystem::path& folder) {
    Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0)
        throw SystemError(fmt::format("syncing {}", folder.string()));
}

void replace_link(const std::filesystem::path& link, std::string_view target) {
    auto temporary = link;
    temporary += fmt::format(".{}.tmp", to_hex(random_bytes<6>()));
    if (::symlink(std::string(target).c_str(), temporary.c_str()) != 0)
        throw SystemError(fmt::format("making the link {}", temporary.string()));
    if (::rename(temporary.c_str(), link.c_str()) != 0) {
        const SystemError error(fmt::format("renaming {} to {}", temporary.string(), link.string()));
        ::unlink(temporary.c_str());
        throw error;
    }
    sync_folder(folder_of(link));
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
