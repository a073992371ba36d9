#include "tests/unit/agent/fakes.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>

namespace waggle::agent {

nix::StorePath test_path(char hash_character, std::string_view name) {
    return nix::StorePath::parse(std::string(32, hash_character) + "-" + std::string(name));
}

TestClosure test_closure() {
    TestClosure closure;
    const auto add = [&](nix::StorePath path, std::string nar, std::vector<std::uint32_t> references) {
        closure.list.push_back({std::move(path), sha256(nar), nar.size(), std::move(references)});
        closure.nars.push_back(std::move(nar));
    };
    add(test_path('a', "glibc"), "the nar of glibc", {0});
    std::string large;
    for (int i = 0; large.size() < (1 << 20); ++i)
        large += std::to_string(i);
    add(test_path('c', "app"), large, {0});
    add(test_path('b', "nixos-system-alpha"), "the nar of the toplevel", {0, 1});
    closure.text = protocol::to_text(closure.list);
    closure.summary = protocol::summarize(closure.text, closure.list);
    return closure;
}

protocol::Deployment test_deployment(const ssh::PublicKey& node_key, const TestClosure& closure) {
    protocol::Deployment deployment;
    deployment.hive = "demo";
    deployment.node = "alpha";
    deployment.node_keys = {node_key};
    deployment.system = "x86_64-linux";
    deployment.goal = protocol::Goal::switch_;
    deployment.toplevel = closure.toplevel();
    deployment.closure = closure.summary;
    deployment.sequence = unix_ms(test_time);
    deployment.created = test_time;
    deployment.not_before = test_time;
    deployment.expires = test_time + std::chrono::hours(1);
    return deployment;
}

std::set<nix::StorePath> FakeStore::query_valid_paths(std::span<const nix::StorePath> paths) {
    std::set<nix::StorePath> valid;
    for (const auto& path : paths)
        if (content_.valid.contains(path))
            valid.insert(path);
    return valid;
}

std::vector<std::optional<nix::PathInfo>> FakeStore::query_path_infos(std::span<const nix::StorePath> paths) {
    std::vector<std::optional<nix::PathInfo>> infos;
    for (const auto& path : paths) {
        const auto found = content_.valid.find(path);
        infos.push_back(found == content_.valid.end() ? std::nullopt : std::optional(found->second));
    }
    return infos;
}

void FakeStore::add_to_store(const nix::PathInfo& info, const nix::NarSource& nar, bool replace) {
    if (content_.hangs) {
        on_wait_(fmt::format("adding {} to the store has waited for 30 s", info.path.absolute()));
        interrupt_->wait(std::chrono::seconds(20));
    }
    if (content_.valid.contains(info.path) && !replace)
        throw Error("the test's store has this path already"); // Nix would keep what is there
    std::string bytes;
    std::array<std::byte, 4096> buffer;
    while (const auto size = nar(buffer))
        bytes += as_text(std::span<const std::byte>(buffer.data(), size));
    content_.nars[info.path] = std::move(bytes);
    content_.valid.emplace(info.path, info);
    content_.emptied.erase(info.path);
}

std::vector<nix::PathInfo> FakeStore::query_closure(const nix::StorePath& root) {
    const auto found = content_.valid.find(root);
    if (found == content_.valid.end())
        throw Error(root.absolute() + " is not in the store");
    return {found->second};
}

void FakeStore::add_root(const std::filesystem::path& link, const nix::StorePath& path) {
    content_.roots.insert_or_assign(link, path);
}

void FakeUnits::add(std::string what, const DeploymentRecord&) {
    const std::lock_guard lock(mutex_);
    if (what == "activate" && !start_error.empty())
        throw Error(start_error);
    started_.push_back(std::move(what));
}

void FakeUnits::watch(const DeploymentRecord&, const std::function<void(std::string_view)>& on_line, const Look& look,
                      const Interrupt& interrupt) {
    while (!look(working_)) {
        std::optional<Part> part;
        {
            const std::lock_guard lock(mutex_);
            if (!parts_.empty()) {
                part = std::move(parts_.front());
                parts_.pop_front();
            }
        }
        if (!part) {
            // An Interrupt has a descriptor, not a condition variable.
            pollfd fd{.fd = interrupt.fd(), .events = POLLIN, .revents = 0};
            ::poll(&fd, 1, 5);
            interrupt.check();
            continue;
        }
        on_line("starting the following units: a.service");
        state_.change([&](State& all) {
            for (const auto event : part->events)
                advance(*all.deployment, event, test_time);
            if (part->ending)
                end(*all.deployment, *part->ending);
        });
    }
    while (output_delayed) {
        pollfd fd{.fd = interrupt.fd(), .events = POLLIN, .revents = 0};
        ::poll(&fd, 1, 5);
        interrupt.check();
    }
}

void FakeUnits::write(std::vector<StateEvent> events, std::optional<Ending> ending) {
    const std::lock_guard lock(mutex_);
    parts_.push_back({std::move(events), std::move(ending)});
}

void FakeUnits::succeed() {
    write({StateEvent::activated, StateEvent::commit, StateEvent::committed},
          Ending{.outcome = protocol::Outcome::ok, .code = "", .message = "", .generation = 8});
}

void FakeUnits::roll_back(std::string code, std::string message) {
    write({StateEvent::fail, StateEvent::reverted},
          Ending{.outcome = protocol::Outcome::rolled_back, .code = std::move(code), .message = std::move(message)});
}

std::vector<std::string> FakeUnits::started() const {
    const std::lock_guard lock(mutex_);
    return started_;
}

void MessageQueue::push(std::string message) {
    const std::lock_guard lock(mutex_);
    if (closed_ || lost_)
        throw net::ConnectionLost("the connection is closed");
    messages_.push_back(std::move(message));
    changed_.notify_all();
}

void MessageQueue::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

void MessageQueue::lose() {
    const std::lock_guard lock(mutex_);
    lost_ = true;
    changed_.notify_all();
}

std::optional<std::string> MessageQueue::pop(Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, deadline, [&] { return lost_ || closed_ || !messages_.empty(); }))
        throw TimedOut("no message in time");
    if (lost_)
        throw net::ConnectionLost("the connection broke");
    if (messages_.empty())
        return std::nullopt;
    auto message = std::move(messages_.front());
    messages_.pop_front();
    return message;
}

} // namespace waggle::agent
