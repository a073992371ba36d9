#include "agent/activation/descendants.hpp"

#include "shared/base/file.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <exception>
#include <filesystem>
#include <string_view>
#include <thread>
#include <vector>

namespace waggle::agent {

namespace {

constexpr size_t max_stat_bytes = 4096;
constexpr std::chrono::milliseconds look_pause{20};

pid_t parse_pid(std::string_view text) {
    pid_t pid = 0;
    std::from_chars(text.data(), text.data() + text.size(), pid);
    return pid;
}

// proc(5): "123 (name) S 1 …"; a name may contain anything.
pid_t parent_of(const std::filesystem::path& process) {
    try {
        const auto stat = read_file(process / "stat", max_stat_bytes);
        const auto end_of_name = stat.rfind(") ");
        constexpr size_t to_parent = 4; // ") S "
        return end_of_name == std::string::npos ? 0 : parse_pid(std::string_view(stat).substr(end_of_name + to_parent));
    } catch (const std::exception&) {
        return 0; // it has just ended
    }
}

std::vector<pid_t> children() {
    std::vector<pid_t> pids;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error))
        if (const auto pid = parse_pid(entry.path().filename().string());
            pid > 0 && parent_of(entry.path()) == ::getpid())
            pids.push_back(pid);
    return pids;
}

} // namespace

void adopt_orphans() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void kill_descendants(Deadline deadline) {
    while (true) {
        const auto pids = children();
        for (const auto pid : pids)
            ::kill(pid, SIGKILL);
        for (const auto pid : pids)
            ::waitpid(pid, nullptr, WNOHANG);
        if (pids.empty() || std::chrono::steady_clock::now() >= deadline)
            return;
        std::this_thread::sleep_for(look_pause);
    }
}

} // namespace waggle::agent
