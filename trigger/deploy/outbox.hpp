#pragma once

#include "shared/net/connection.hpp"
#include "shared/protocol/closure_list.hpp"
#include "trigger/build/store.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace waggle::trigger {

// Sends to one node from a thread of its own, so that its events are read while NARs travel. It serves the paths of one
// closure list and nothing else.
class Outbox {
public:
    Outbox(net::Connection& connection, const protocol::ClosureList& list, ReadNar read_nar);
    // Stops where it is; what was not sent yet is not sent any more. Breaks the connection when that takes a while: a
    // node that takes nothing any more.
    ~Outbox();

    // Sent before any further piece of a NAR.
    void say(std::string message);
    // Throws protocol::BadDocument for an index that is not in the list.
    void serve(const std::vector<std::uint32_t>& indices);
    // Forgets what is still to be served.
    void stop_serving();

    // Whether everything that was asked for is on its way.
    bool idle() const;
    std::uint64_t nar_bytes_sent() const { return nar_bytes_sent_; }
    // Throws what ended the thread: a path of the own store that cannot be read, the connection.
    void check() const;

private:
    void run();
    void serve_one(std::uint32_t index);
    void send_nar(std::uint32_t index);
    void send_messages(); // what say() was told

    net::Connection& connection_;
    const protocol::ClosureList& list_;
    ReadNar read_nar_;
    std::atomic<std::uint64_t> nar_bytes_sent_ = 0;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable rest_; // busy_ has become false
    std::deque<std::string> messages_;
    std::deque<std::uint32_t> wanted_;
    bool busy_ = false;
    bool stop_serving_ = false;
    bool stop_ = false;
    std::exception_ptr failure_;
    std::thread thread_; // last: it uses all of the above
};

} // namespace waggle::trigger
