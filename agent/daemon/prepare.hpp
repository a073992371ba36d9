#pragma once

#include "agent/daemon/environment.hpp"
#include "agent/daemon/fetch.hpp"
#include "agent/node/node_store.hpp"
#include "agent/state/record.hpp"
#include "agent/state/state.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/protocol/deployment.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace waggle::agent {

// What a deployment brings to the node before its activation, once everything is in place.
struct Prepared {
    // The operators before and after the commit of the new system.
    struct Operators {
        OperatorList now;
        OperatorList next;
    };

    std::optional<BundleRef> bundle;      // nullopt: the present secrets stay
    bool secrets_only = false;            // the system stays
    std::optional<nix::StorePath> target; // the specialisation to switch to; nullopt: the toplevel itself
    std::optional<Operators> operators;   // nullopt: the operators stay
};

// What prepare() calls while it works.
struct PreparationReports {
    std::function<void()> on_fetch;                           // once, before it requests anything from the trigger
    std::function<void(const FetchProgress&)> on_progress;    // a few times a second
    std::function<void(const FetchProgress&)> on_fetched;     // everything is in the store
    std::function<void(const std::string& sentence)> on_note; // for the operator
};

// Fetches the secrets and the system of an admitted deployment, registers GC roots, and makes the checks that need the
// system in the store. Returns nullopt if the node already has what the deployment describes. Closes the connection to
// the store. Throws NotActivated, what the feed and the store throw, and what a report throws.
std::optional<Prepared> prepare(const Environment& environment, const protocol::Deployment& deployment,
                                const LastAdmitted& admitted, std::unique_ptr<NodeStore> store, Feed& feed,
                                const PreparationReports& reports);

// How a deployment ends that the operator cancels before its activation.
Ending ending_of_cancelled();

// How a deployment ends whose preparation threw. Must be called in a catch block.
Ending ending_of_failed_preparation();

} // namespace waggle::agent
