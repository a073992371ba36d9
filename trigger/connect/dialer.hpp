#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/net/client.hpp"
#include "trigger/connect/known_nodes.hpp"
#include "trigger/connect/session.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>

namespace waggle::trigger {

// Tries all ways (0 … count-1), beginning with the one that worked last, and updates `last`. Each way gets an equal
// share of the remaining time. Throws net::WrongHostKey if one of them showed a wrong key, otherwise net::TurnedAway or
// net::Unreachable with all reasons.
net::NodeConnection try_ways(size_t count, size_t& last, Deadline deadline,
                             const std::function<net::NodeConnection(size_t, Deadline)>& connect);

// Connects to nodes during a whole run. After Ctrl-C it waits for Finishing nodes, gives the other
// sessions a moment to end properly, and then closes all remaining connections, including those being established.
class Dialer {
public:
    explicit Dialer(const Interrupt& interrupt);
    ~Dialer();

    // Counts a node as active during its lifetime.
    class ActiveNode {
    public:
        explicit ActiveNode(Dialer& dialer) : dialer_(dialer) { ++dialer_.active_; }
        ActiveNode(const ActiveNode&) = delete;
        ActiveNode& operator=(const ActiveNode&) = delete;
        ~ActiveNode() { --dialer_.active_; }

    private:
        Dialer& dialer_;
    };

    // Returns a function that connects to the node. `address` and `known` must outlive it.
    Connect connector(const NodeAddress& address, const KnownNode& known);

    // Returns the refusal of a node. If its key is merely unknown, adds the line for known_hosts with the key that the
    // node shows to anyone who connects. Signs and sends nothing.
    std::string with_line_to_add(const std::string& refusal, const NodeAddress& address, const Pins& pins);

private:
    void watch();

    const Interrupt& interrupt_;
    net::Client client_;
    std::atomic<int> active_ = 0;     // nodes in work
    std::atomic<int> connecting_ = 0; // of these, nodes that wait for a connection
    Interrupt done_;
    std::thread watcher_;
};

} // namespace waggle::trigger
