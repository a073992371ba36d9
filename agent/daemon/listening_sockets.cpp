#include "agent/daemon/listening_sockets.hpp"

#include "agent/daemon/passed_sockets.hpp"
#include "shared/base/error.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace waggle::agent {

namespace {

constexpr std::chrono::milliseconds first_pause{250};
constexpr std::chrono::milliseconds longest_pause{30'000};
constexpr std::string_view stored_prefix = "interface-";

std::string stored_name(const std::string& interface) {
    return std::string(stored_prefix) + interface;
}

} // namespace

ListeningSockets::ListeningSockets(std::vector<std::string> entries, std::uint16_t port)
    : entries_(std::move(entries)), port_(port) {
    for (auto& [fd, name] : take_passed_sockets()) {
        if (auto listener = net::take_listener(std::move(fd), entries_, port_))
            listeners_.push_back(std::move(*listener));
        else if (name.starts_with(stored_prefix))
            forget_stored_socket(name);
    }
}

std::vector<net::Listener> ListeningSockets::open(const Interrupt& interrupt) {
    auto pause = first_pause;
    auto known = listeners_.size();
    while (true) {
        std::string problem;
        try {
            net::listen_on(entries_, port_, net::Sharing::same_user, listeners_);
        } catch (const Error& error) {
            problem = error.what();
        }
        for (; known < listeners_.size(); ++known)
            if (const auto& opened = listeners_[known]; !opened.interface.empty())
                store_socket(opened.fd, stored_name(opened.interface));
        if (problem.empty())
            return std::move(listeners_);
        spdlog::error("{}; trying again in {} s", problem, static_cast<double>(pause.count()) / 1000);
        interrupt.wait(pause);
        pause = std::min(2 * pause, longest_pause);
    }
}

void ListeningSockets::forget_stored() const {
    for (const auto& entry : entries_)
        forget_stored_socket(stored_name(entry));
}

} // namespace waggle::agent
