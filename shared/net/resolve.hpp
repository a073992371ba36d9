#pragma once

#include "shared/base/time.hpp"
#include "shared/net/socket.hpp"

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace waggle::net {

// Looks up host names with deadlines. getaddrinfo(3) has none, so each call has its own thread. The destructor joins
// these threads: it may wait as long as the system's resolver does.
class Resolver {
public:
    Resolver() = default;
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;
    ~Resolver();

    // Returns at least one address. Throws Error with the resolver's reason, TimedOut, or Interrupted after
    // cancel_all().
    std::vector<Endpoint> resolve(const std::string& host, std::uint16_t port, Deadline deadline);

    // Wakes every resolve() that is waiting, and all later ones.
    void cancel_all() noexcept;

private:
    struct Lookup;
    void join_finished();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::shared_ptr<Lookup>> lookups_;
    bool cancelled_ = false;
};

} // namespace waggle::net
