#pragma once

#include "shared/base/fd.hpp"

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace waggle::net {

// Somebody on the way: passes one connection on to a port of this machine and keeps what the client says.
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
