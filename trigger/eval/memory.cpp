#include "trigger/eval/memory.hpp"

#include "shared/base/error.hpp"
#include "trigger/base/quantity.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace waggle::trigger {

namespace {

namespace fs = std::filesystem;

std::optional<std::uint64_t> machines_available_bytes() {
    std::ifstream meminfo("/proc/meminfo");
    for (std::string key, unit; meminfo >> key;) {
        std::uint64_t kib = 0;
        if (!(meminfo >> kib))
            break;
        if (key == "MemAvailable:")
            return kib * 1024;
        std::getline(meminfo, unit);
    }
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_size = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_size <= 0)
        return std::nullopt;
    return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_size) / 2;
}

// The files in which a version of control groups reports a limit and the memory used.
struct CgroupFiles {
    const char* limit;
    const char* usage;
    std::string_view reclaimable; // in memory.stat: file cache that was not used for long
};
constexpr CgroupFiles version_1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr CgroupFiles version_2 = {"memory.max", "memory.current", "inactive_file"};

// Returns the first number in the file; nullopt if there is no file, or a word ("max") in it.
std::optional<std::uint64_t> read_number(const fs::path& file) {
    std::ifstream stream(file);
    std::uint64_t number = 0;
    if (!(stream >> number))
        return std::nullopt;
    return number;
}

std::uint64_t reclaimable_bytes(const fs::path& folder, std::string_view name) {
    std::ifstream stat(folder / "memory.stat");
    std::uint64_t bytes = 0;
    for (std::string key; stat >> key >> bytes;)
        if (key == name)
            return bytes;
    return 0;
}

// Returns the memory left in the group in `folder` alone.
std::optional<std::uint64_t> left_in(const fs::path& folder, const CgroupFiles& files) {
    constexpr std::uint64_t none = std::uint64_t{1} << 60; // version 1 has no word for "no limit"
    const std::optional<std::uint64_t> limit = read_number(folder / files.limit);
    if (!limit || *limit >= none)
        return std::nullopt;
    std::uint64_t used = read_number(folder / files.usage).value_or(0);
    used -= std::min(used, reclaimable_bytes(folder, files.reclaimable));
    return *limit - std::min(*limit, used);
}

std::optional<std::uint64_t> lesser(std::optional<std::uint64_t> a, std::optional<std::uint64_t> b) {
    if (!a || !b)
        return a ? a : b;
    return std::min(*a, *b);
}

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream stream(line);
    return {std::istream_iterator<std::string>(stream), {}};
}

bool has_controller(std::string_view list, std::string_view name) {
    return ("," + std::string(list) + ",").find("," + std::string(name) + ",") != std::string::npos;
}

// Returns this process's group, such as "/a/b", in the hierarchy with the memory controller; "" if there is none.
std::string group_of_this_process(const fs::path& root, bool second_version) {
    std::ifstream groups(root / "proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) { // "4:memory:/a/b", "0::/a/b"
        const size_t first = line.find(':');
        const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos)
            continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        if (second_version ? controllers.empty() : has_controller(controllers, "memory"))
            return line.substr(second + 1);
    }
    return {};
}

} // namespace

std::optional<std::uint64_t> cgroup_memory_left(const fs::path& root) {
    std::optional<std::uint64_t> left;
    std::ifstream mounts(root / "proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
        // "30 23 0:26 /ROOT /MOUNT rw,… shared:4 - cgroup2 cgroup2 rw,…"
        const std::vector<std::string> words = words_of(line);
        const auto dash = std::find(words.begin(), words.end(), "-");
        if (words.size() < 6 || words.end() - dash < 4)
            continue;
        const bool second_version = dash[1] == "cgroup2";
        if (!second_version && (dash[1] != "cgroup" || !has_controller(dash[3], "memory")))
            continue;
        const fs::path mount = root / fs::path(words[4]).relative_path();
        const std::string group = group_of_this_process(root, second_version);
        // In a container the group's name may be the host's, and only the tree below the mount's root is visible.
        fs::path below = fs::path(group).lexically_relative(words[3]);
        if (below.empty() || *below.begin() == "..")
            below = ".";
        const CgroupFiles& files = second_version ? version_2 : version_1;
        for (fs::path folder = (mount / below).lexically_normal();; folder = folder.parent_path()) {
            left = lesser(left, left_in(folder, files));
            if (folder.native().size() <= mount.native().size())
                break;
        }
    }
    return left;
}

std::optional<std::uint64_t> available_memory_bytes() {
    return lesser(machines_available_bytes(), cgroup_memory_left());
}

std::optional<std::uint64_t> address_space_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return std::nullopt;
    return limit.rlim_cur;
}

std::optional<std::uint64_t> resident_bytes(pid_t pid) {
    std::ifstream statm(fmt::format("/proc/{}/statm", pid));
    std::uint64_t size_pages = 0, resident_pages = 0;
    if (!(statm >> size_pages >> resident_pages))
        return std::nullopt;
    return resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t parse_memory_size(std::string_view text, std::uint64_t available_bytes) {
    const auto refuse = [&] {
        return Error(
            fmt::format("“{}” is not an amount of memory: write it as 1.5G, 800M, or 80% of what is available", text));
    };
    const auto quantity = parse_quantity(text);
    if (!quantity || !(quantity->number > 0) || quantity->unit == 'K')
        throw refuse();
    const auto factor = quantity->unit == '%' ? std::optional(static_cast<double>(available_bytes) / 100)
                                              : power_of_1024(quantity->unit);
    if (!factor)
        throw refuse();
    constexpr double most = 1e15;
    if (quantity->number * *factor > most)
        throw refuse();
    return static_cast<std::uint64_t>(quantity->number * *factor);
}

} // namespace waggle::trigger
