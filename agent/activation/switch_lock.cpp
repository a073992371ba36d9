#include "agent/activation/switch_lock.hpp"

#include "shared/base/fd.hpp"
#include "shared/base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <exception>

namespace waggle::agent {

namespace {

constexpr size_t max_name_bytes = 4096;

bool has_open(const std::filesystem::path& process, const struct stat& file) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(process / "fd", error)) {
        struct stat opened{};
        if (::stat(entry.path().c_str(), &opened) == 0 && opened.st_dev == file.st_dev && opened.st_ino == file.st_ino)
            return true;
    }
    return false;
}

std::string describe_process(const std::filesystem::path& process) {
    std::string name;
    try {
        name = read_file(process / "comm", max_name_bytes);
    } catch (const std::exception&) {
        name = "?"; // it has just ended
    }
    std::erase(name, '\n');
    return fmt::format("process {} ({})", process.filename().string(), name);
}

} // namespace

std::optional<std::string> holder_of_switch_lock(const std::filesystem::path& file) {
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) // closing the file releases it
        return std::nullopt;
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0)
        return "another process";
    // The process that took the lock may have ended and left it to a child, so this names a process that has the file
    // open.
    const auto own = std::to_string(::getpid());
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const auto name = entry.path().filename().string();
        if (std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c) != 0; }) && name != own &&
            has_open(entry.path(), info))
            return describe_process(entry.path());
    }
    return "another process";
}

} // namespace waggle::agent
