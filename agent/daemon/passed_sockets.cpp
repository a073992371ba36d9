#include "agent/daemon/passed_sockets.hpp"

#include "agent/daemon/notify.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace waggle::agent {

namespace {

constexpr int first_fd = 3; // SD_LISTEN_FDS_START
constexpr int max_fds = 256;

std::optional<std::string> take_variable(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr)
        return std::nullopt;
    std::string taken = value;
    ::unsetenv(name);
    return taken;
}

std::optional<int> parse_number(const std::optional<std::string>& text) {
    int number = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc{})
        return std::nullopt;
    return number;
}

// Removes and returns the first name of "a:b:c"; returns "" if there is none.
std::string take_name(std::string_view& names) {
    const auto colon = names.find(':');
    std::string name(names.substr(0, colon));
    names.remove_prefix(colon == std::string_view::npos ? names.size() : colon + 1);
    return name;
}

} // namespace

std::vector<PassedSocket> take_passed_sockets() {
    const auto pid = parse_number(take_variable("LISTEN_PID"));
    const auto count = parse_number(take_variable("LISTEN_FDS"));
    const auto all_names = take_variable("LISTEN_FDNAMES").value_or("");
    std::vector<PassedSocket> passed;
    if (!pid || *pid != ::getpid() || !count || *count > max_fds)
        return passed;
    std::string_view names = all_names;
    for (int number = first_fd; number < first_fd + *count; ++number) {
        Fd fd(number);
        ::fcntl(number, F_SETFD, FD_CLOEXEC);
        ::fcntl(number, F_SETFL, ::fcntl(number, F_GETFL) | O_NONBLOCK);
        passed.push_back({std::move(fd), take_name(names)});
    }
    return passed;
}

void store_socket(const Fd& fd, const std::string& name) {
    notify_service_manager(fmt::format("FDSTORE=1\nFDNAME={}", name), &fd);
}

void forget_stored_socket(const std::string& name) {
    notify_service_manager(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name));
}

} // namespace waggle::agent
