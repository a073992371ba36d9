#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/net/socket.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace waggle::agent {

// The sockets that the agent listens on. The service manager keeps the port taken while the agent is restarted: it
// holds those for addresses in waggle-agent.socket, and those that are bound to an interface, which no socket unit can
// have before there is that interface, are opened here and left with it.
class ListeningSockets {
public:
    // Takes what the service manager holds. `entries` and `port` are services.waggle-agent.listen and port.
    ListeningSockets(std::vector<std::string> entries, std::uint16_t port);

    // All of them; to be called once. Opens what the service manager does not hold, and tries again until that
    // succeeds: an interface may come later than we do. Throws Interrupted.
    std::vector<net::Listener> open(const Interrupt& interrupt);

    // Has the service manager close those that were left with it: the next agent listens elsewhere.
    void forget_stored() const;

private:
    std::vector<std::string> entries_;
    std::uint16_t port_;
    std::vector<net::Listener> listeners_;
};

} // namespace waggle::agent
