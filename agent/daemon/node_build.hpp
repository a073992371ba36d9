#pragma once

#include "agent/daemon/admission.hpp"
#include "agent/daemon/environment.hpp"
#include "agent/daemon/fetch.hpp"
#include "agent/node/node_store.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/protocol/build_request.hpp"
#include "shared/protocol/closure_list.hpp"
#include "shared/protocol/messages.hpp"

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

namespace waggle::agent {

// One build that an operator has requested from this node. It belongs to its session, ends with it, and leaves nothing
// but store paths and a GC root (built_root).
class TargetBuild {
public:
    using Tell = std::function<void(const protocol::Message&)>; // sends to the trigger

    // The destructor calls `on_end`.
    TargetBuild(const Environment& environment, protocol::BuildRequest request, const protocol::DeploymentId& id,
                std::string operator_key, std::function<void()> on_end);
    ~TargetBuild();
    TargetBuild(const TargetBuild&) = delete;
    TargetBuild& operator=(const TargetBuild&) = delete;

    const protocol::DeploymentId& id() const { return id_; }
    const std::string& operator_key() const { return operator_key_; } // its fingerprint
    const protocol::BuildRequest& request() const { return request_; }

    // Connects to the nix daemon; throws Error.
    void open_store();
    // Fetches the derivations into the store. Returns nullopt once they are there. Throws net::ConnectionLost.
    std::optional<protocol::NotBuilt> fetch(Feed& feed, const Tell& tell);
    // Makes the nix daemon build, and returns the system's closure on this node.
    std::variant<protocol::NotBuilt, protocol::ClosureList> build(const Tell& tell);

    // Cancels the build, from any thread.
    void cancel() noexcept { interrupt_.request(); }
    bool cancelled() const { return interrupt_.requested(); }

private:
    // Must be called in a catch block.
    protocol::NotBuilt explain() const;

    const Environment& environment_;
    const protocol::BuildRequest request_;
    const protocol::DeploymentId id_;
    const std::string operator_key_;
    const std::function<void()> on_end_;
    Interrupt interrupt_;
    std::unique_ptr<NodeStore> store_;
    std::uint64_t lines_ = 0;
};

// The builds of a node: one at a time. Safe to use from several threads.
class TargetBuilds {
public:
    explicit TargetBuilds(const Environment& environment) : environment_(environment) {}

    // Admits a build, or returns the reason for refusing it. An operator who requests the same system again has lost
    // the earlier session, so the earlier build is cancelled.
    using Answer = std::variant<protocol::Refused, std::unique_ptr<TargetBuild>>;
    Answer begin(const protocol::SignedDocument& document, const BuildContext& context);

private:
    const Environment& environment_;
    std::mutex mutex_; // guards the following members
    std::condition_variable ended_;
    TargetBuild* current_ = nullptr;
};

} // namespace waggle::agent
