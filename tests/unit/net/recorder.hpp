#pragma once

#include "shared/base/fd.hpp"

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace waggle::net {

// An eavesdropper: relays one connection to a port of this machine and records what the client sends.
class Recorder {
public:
    explicit Recorder(std::uint16_t server_port);
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;
    ~Recorder();

    std::uint16_t port() const { return port_; }
    // Waits until the connection is over.
    std::string said_by_client();

private:
    void pass_on(std::uint16_t server_port);

    Fd listener_;
    std::uint16_t port_ = 0;
    std::string said_;
    std::thread thread_;
};

} // namespace waggle::net
