#include "shared/net/resolve.hpp"

#include "shared/base/error.hpp"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace waggle::net {
namespace {

struct Answer {
    std::vector<Endpoint> endpoints;
    std::string problem;
};

Answer look_up(const std::string& host, std::uint16_t port, int flags) {
    addrinfo hints{};
    hints.ai_flags = flags | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (error != 0)
        return {{}, error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error)};
    std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
    Answer answer;
    for (; found != nullptr; found = found->ai_next) {
        Endpoint& endpoint = answer.endpoints.emplace_back();
        endpoint.length = found->ai_addrlen;
        std::memcpy(&endpoint.storage, found->ai_addr, found->ai_addrlen);
    }
    return answer;
}

} // namespace

struct Resolver::Lookup {
    bool done = false; // guarded by the resolver's mutex, as is `answer`
    Answer answer;
    std::thread thread;
};

Resolver::~Resolver() {
    for (auto& lookup : lookups_)
        lookup->thread.join();
}

std::vector<Endpoint> Resolver::resolve(const std::string& host, std::uint16_t port, Deadline deadline) {
    Answer numeric = look_up(host, port, AI_NUMERICHOST); // sends no query
    if (!numeric.endpoints.empty())
        return numeric.endpoints;

    std::unique_lock lock(mutex_);
    join_finished();
    auto lookup = lookups_.emplace_back(std::make_shared<Lookup>());
    try {
        lookup->thread = std::thread([this, lookup, host, port] {
            Answer answer = look_up(host, port, 0);
            std::lock_guard guard(mutex_);
            lookup->answer = std::move(answer);
            lookup->done = true;
            changed_.notify_all();
        });
    } catch (const std::system_error&) {
        lookups_.pop_back();
        throw Error("no thread can be started to look it up");
    }
    bool woken = changed_.wait_until(lock, deadline, [&] { return lookup->done || cancelled_; });
    if (cancelled_)
        throw Interrupted("it was cancelled");
    if (!woken)
        throw TimedOut("the name service did not answer");
    if (lookup->answer.endpoints.empty())
        throw Error(lookup->answer.problem);
    return lookup->answer.endpoints;
}

void Resolver::cancel_all() noexcept {
    std::lock_guard guard(mutex_);
    cancelled_ = true;
    changed_.notify_all();
}

// Requires the mutex, which a thread does not need any more once its lookup is done.
void Resolver::join_finished() {
    std::erase_if(lookups_, [](const std::shared_ptr<Lookup>& lookup) {
        if (lookup->done)
            lookup->thread.join();
        return lookup->done;
    });
}

} // namespace waggle::net
