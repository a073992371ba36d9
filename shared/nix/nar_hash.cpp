#include "shared/nix/nar_hash.hpp"

#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::nix {

namespace {

namespace fs = std::filesystem;

constexpr size_t buffer_bytes = 64 << 10;

// Feeds the archive to the hash.
class Sum {
public:
    NarSum of(const fs::path& path) {
        text("nix-archive-1");
        node(path);
        return {hash_.finish(), size_};
    }

private:
    void raw(std::string_view bytes) {
        hash_.update(bytes);
        size_ += bytes.size();
    }
    void number(std::uint64_t value) {
        std::array<char, 8> bytes;
        for (char& byte : bytes) {
            byte = static_cast<char>(value & 0xff);
            value >>= 8;
        }
        raw({bytes.data(), bytes.size()});
    }
    void pad(std::uint64_t bytes) { raw(std::string((8 - bytes % 8) % 8, '\0')); }
    void text(std::string_view value) {
        number(value.size());
        raw(value);
        pad(value.size());
    }

    void node(const fs::path& path) {
        struct stat info{};
        if (::lstat(path.c_str(), &info) != 0)
            throw SystemError(fmt::format("inspecting {}", path.string()));
        text("(");
        text("type");
        if (S_ISREG(info.st_mode))
            regular(path, info);
        else if (S_ISDIR(info.st_mode))
            directory(path);
        else if (S_ISLNK(info.st_mode))
            link(path);
        else
            throw Error(fmt::format("{} is neither file, folder nor symbolic link", path.string()));
        text(")");
    }

    void regular(const fs::path& path, const struct stat& info) {
        text("regular");
        if ((info.st_mode & S_IXUSR) != 0) {
            text("executable");
            text("");
        }
        text("contents");
        const auto size = static_cast<std::uint64_t>(info.st_size);
        number(size);
        const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!fd)
            throw SystemError(fmt::format("opening {}", path.string()));
        std::string buffer(buffer_bytes, '\0');
        for (std::uint64_t left = size; left > 0;) {
            const auto count =
                ::read(fd.get(), buffer.data(), static_cast<size_t>(std::min<std::uint64_t>(left, buffer.size())));
            if (count < 0 && errno == EINTR)
                continue;
            if (count <= 0)
                throw SystemError(fmt::format("reading {}", path.string()));
            raw(std::string_view(buffer).substr(0, static_cast<size_t>(count)));
            left -= static_cast<std::uint64_t>(count);
        }
        pad(size);
    }

    void directory(const fs::path& path) {
        text("directory");
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(path))
            names.push_back(entry.path().filename().string());
        std::ranges::sort(names); // by byte
        for (const auto& name : names) {
            text("entry");
            text("(");
            text("name");
            text(name);
            text("node");
            node(path / name);
            text(")");
        }
    }

    void link(const fs::path& path) {
        text("symlink");
        text("target");
        text(fs::read_symlink(path).string());
    }

    Sha256 hash_;
    std::uint64_t size_ = 0;
};

} // namespace

NarSum nar_sum(const fs::path& path) {
    return Sum().of(path);
}

} // namespace waggle::nix
