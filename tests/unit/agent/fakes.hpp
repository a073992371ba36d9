#pragma once

#include "agent/daemon/deployment_run.hpp"
#include "agent/node/host.hpp"
#include "agent/node/node_store.hpp"
#include "agent/state/life.hpp"
#include "agent/units/transient_units.hpp"
#include "shared/base/file.hpp"
#include "shared/net/connection.hpp"
#include "shared/protocol/closure_list.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/messages.hpp"
#include "shared/ssh/key.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace waggle::agent {

inline constexpr Time test_time = std::chrono::sys_days(std::chrono::year(2026) / 11 / 22) + std::chrono::hours(10);

nix::StorePath test_path(char hash_character, std::string_view name);

// A closure with its NARs: entries[i]'s NAR is nars[i].
struct TestClosure {
    protocol::ClosureList list;
    std::vector<std::string> nars;
    std::string text;
    protocol::ClosureSummary summary;

    nix::StorePath toplevel() const { return list.back().path; }
};
// glibc ← app ← toplevel; the middle NAR is large enough to travel in pieces.
TestClosure test_closure();

// A deployment that the node of these tests admits.
protocol::Deployment test_deployment(const ssh::PublicKey& node_key, const TestClosure& closure);

// What is registered in the "database", shared by all connections to it.
struct FakeStoreContent {
    std::map<nix::StorePath, nix::PathInfo> valid;
    std::map<nix::StorePath, std::string> nars;
    std::map<std::filesystem::path, nix::StorePath> roots;
    std::set<nix::StorePath> emptied; // valid, but not intact
    int syncs = 0;
    bool away = false;
    bool hangs = false; // where a path is added, until it is interrupted
    // What the nix daemon does when it is to build.
    std::function<void(const nix::StorePath&, const nix::BuildOptions&)> build;
};

class FakeStore : public NodeStore {
public:
    explicit FakeStore(FakeStoreContent& content) : content_(content) {}

    void watch_waits(const Interrupt& interrupt, std::function<void(const std::string&)> on_wait) override {
        interrupt_ = &interrupt;
        on_wait_ = std::move(on_wait);
    }
    std::string nix_version() override { return "2.8.0"; }
    void add_temp_roots(std::span<const nix::StorePath>) override {}
    std::set<nix::StorePath> query_valid_paths(std::span<const nix::StorePath> paths) override;
    std::vector<std::optional<nix::PathInfo>> query_path_infos(std::span<const nix::StorePath> paths) override;
    bool is_intact(const nix::PathInfo& info) override { return !content_.emptied.contains(info.path); }
    void add_to_store(const nix::PathInfo& info, const nix::NarSource& nar, bool replace) override;
    void sync() override { ++content_.syncs; }
    void build(const nix::StorePath& derivation, const nix::BuildOptions& options) override {
        content_.build(derivation, options);
    }
    std::vector<nix::PathInfo> query_closure(const nix::StorePath& root) override; // of a path without references
    void add_root(const std::filesystem::path& link, const nix::StorePath& path) override;

private:
    FakeStoreContent& content_;
    const Interrupt* interrupt_ = nullptr;
    std::function<void(const std::string&)> on_wait_;
};

struct FakeHost : Host {
    std::optional<nix::StorePath> current;
    std::optional<nix::StorePath> profile_path;
    std::string boot = "boot-1";
    std::uint64_t free_bytes = std::uint64_t{1} << 40;
    bool system = true;
    std::optional<BootSpace> room;
    std::vector<protocol::BootFile> files_to_boot; // of any system that is in the store
    bool watched = false;
    std::map<nix::StorePath, std::map<std::string, nix::StorePath>> special;
    std::set<nix::StorePath> generations;
    std::optional<std::vector<ssh::PublicKey>> next_operators; // in the configuration of what is deployed
    std::string configuration_error;

    std::optional<nix::StorePath> current_system() const override { return current; }
    std::optional<nix::StorePath> booted_system() const override { return current; }
    std::optional<nix::StorePath> profile() const override { return profile_path; }
    std::string profile_link() const override { return "system-7-link"; }
    std::optional<std::uint64_t> profile_generation() const override { return 7; }
    std::string boot_id() const override { return boot; }
    std::vector<std::string> failed_units() const override { return {"failed-before.service"}; }
    std::uint64_t free_store_bytes() const override { return free_bytes; }
    std::optional<BootSpace> boot_space() const override { return room; }
    std::vector<protocol::BootFile> boot_files(const nix::StorePath&, protocol::DeviceTrees) const override {
        return files_to_boot;
    }
    bool has_boot_watch() const override { return watched; }
    std::map<std::string, nix::StorePath> specialisations(const nix::StorePath& toplevel) const override {
        const auto found = special.find(toplevel);
        return found == special.end() ? std::map<std::string, nix::StorePath>{} : found->second;
    }
    bool is_system(const nix::StorePath&) const override { return system; }
    bool is_generation(const nix::StorePath& toplevel) const override { return generations.contains(toplevel); }
    std::optional<std::filesystem::path> next_state_dir;
    std::optional<NextAgent> agent_in(const nix::StorePath&) const override {
        if (!configuration_error.empty())
            throw Error(configuration_error);
        if (!next_operators)
            return std::nullopt;
        return NextAgent{.operators = *next_operators, .state_dir = next_state_dir};
    }
};

// Units that write to the state what the test specifies, while the daemon observes them.
class FakeUnits : public TransientUnits {
public:
    explicit FakeUnits(const std::filesystem::path& state_dir) : state_(state_dir) {}

    void arm_activation_timer(const DeploymentRecord& record) override { add("arm", record); }
    void arm_confirmation_timer(const DeploymentRecord& record) override { add("arm-confirmation", record); }
    void disarm_activation_timer() override {}
    void disarm() override {}
    void start_activation(const DeploymentRecord& record) override { add("activate", record); }
    void start_commit(const DeploymentRecord& record) override { add("commit", record); }
    void start_recovery(const DeploymentRecord& record, RecoveryCause caller) override {
        add(caller == RecoveryCause::agent ? "recover" : "recover for " + std::string(to_string(caller)), record);
    }
    void watch(const DeploymentRecord& record, const std::function<void(std::string_view)>& on_line, const Look& look,
               const Interrupt& interrupt) override;

    // For the test. The units print a line, take these steps and, with an ending, end the deployment.
    void write(std::vector<StateEvent> events, std::optional<Ending> ending = std::nullopt);
    // A whole life from the activation on.
    void succeed();
    void roll_back(std::string code, std::string message);
    void die() { working_ = false; } // without a word
    std::vector<std::string> started() const;
    std::atomic<bool> output_delayed = false; // while it is set, their last words are not to be read
    std::string start_error;                  // when set, starting the activation throws it

private:
    void add(std::string what, const DeploymentRecord& record);

    StateKeeper state_;
    std::atomic<bool> working_ = true;
    mutable std::mutex mutex_;
    std::vector<std::string> started_;
    struct Part {
        std::vector<StateEvent> events;
        std::optional<Ending> ending;
    };
    std::deque<Part> parts_;
};

// One direction of a connection in memory.
class MessageQueue {
public:
    void push(std::string message);
    void close(); // orderly
    void lose();  // broken
    std::optional<std::string> pop(Deadline deadline);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> messages_;
    bool closed_ = false;
    bool lost_ = false;
};

// A connection in memory; the test holds the other end.
class FakeConnection : public net::Connection {
public:
    FakeConnection(std::shared_ptr<MessageQueue> in, std::shared_ptr<MessageQueue> out)
        : in_(std::move(in)), out_(std::move(out)) {}

    void send(std::string message, Deadline) override { out_->push(std::move(message)); }
    std::optional<std::string> receive(Deadline deadline) override { return in_->pop(deadline); }
    void finish(Deadline) noexcept override { out_->close(); }
    void abort() noexcept override {
        in_->lose();
        out_->lose();
    }
    std::string peer() const override { return "a test"; }

private:
    std::shared_ptr<MessageQueue> in_;
    std::shared_ptr<MessageQueue> out_;
};

} // namespace waggle::agent
