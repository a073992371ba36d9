#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/net/client.hpp"
#include "trigger/deploy/rollout.hpp"
#include "trigger/deploy/session.hpp"

#include <atomic>
#include <thread>

namespace waggle::trigger {

// Connects to nodes for a whole run. After Ctrl-C it leaves those that talk a moment to say goodbye to their agents,
// then breaks what is left: connections that are still being made, too.
class Dialer {
public:
    explicit Dialer(const Interrupt& interrupt);
    ~Dialer();

    // Counts a node as being talked to while it lives.
    class Talk {
    public:
        explicit Talk(Dialer& dialer) : dialer_(dialer) { ++dialer_.talking_; }
        Talk(const Talk&) = delete;
        Talk& operator=(const Talk&) = delete;
        ~Talk() { --dialer_.talking_; }

    private:
        Dialer& dialer_;
    };

    // Connects to the node; `address` and `known` must outlive what is returned.
    Connect connector(const NodeAddress& address, const KnownNode& known);

    // The refusal of a node; where its key is just not known, with the line for known_hosts, by the key that it shows
    // to anybody who connects. Nothing is signed or sent.
    std::string with_line_to_add(const std::string& refusal, const NodeAddress& address, const Pins& pins);

private:
    void watch();

    const Interrupt& interrupt_;
    net::Client client_;
    std::atomic<int> talking_ = 0;    // nodes that are worked on
    std::atomic<int> connecting_ = 0; // of them, those that wait for a connection
    Interrupt done_;
    std::thread watcher_;
};

} // namespace waggle::trigger
