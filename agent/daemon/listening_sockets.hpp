#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/net/socket.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace waggle::agent {

// The sockets that the agent listens on. The service manager holds them while the agent restarts, so that the port
// stays taken. waggle-agent.socket has those for addresses. No socket unit can have those for an interface before the
// interface exists, so this class opens them and stores them with the service manager.
class ListeningSockets {
public:
    // Takes the sockets that the service manager holds. `entries` and `port` are services.waggle-agent.listen and port.
    ListeningSockets(std::vector<std::string> entries, std::uint16_t port);

    // Returns all sockets; must be called once. Opens those that the service manager does not hold, and retries until
    // that succeeds, because an interface may appear after the agent has started. Throws Interrupted.
    std::vector<net::Listener> open(const Interrupt& interrupt);

    // Makes the service manager close the stored sockets, because the next agent listens elsewhere.
    void forget_stored() const;

private:
    std::vector<std::string> entries_;
    std::uint16_t port_;
    std::vector<net::Listener> listeners_;
};

} // namespace waggle::agent
