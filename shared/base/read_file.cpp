#include "shared/base/read_file.hpp"

#include "shared/base/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

namespace waggle {

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

} // namespace waggle
