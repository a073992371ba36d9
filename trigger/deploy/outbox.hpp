#pragma once

#include "shared/net/connection.hpp"
#include "shared/protocol/closure_list.hpp"
#include "trigger/build/store.hpp"
#include "trigger/deploy/link_speed.hpp"
#include "trigger/deploy/packed_nars.hpp"
#include "trigger/deploy/upload_limit.hpp"

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

// How often a node has requested each path of a list, over all its connections. Only what was being sent when a
// connection broke may be requested again.
struct TimesWanted {
    unsigned most = 1; // allowed per path
    std::vector<unsigned> of_each;
};

// Where an outbox gets NARs from, and how they travel.
struct NarDelivery {
    ReadNar read_nar;
    PackedNars* packed_nars = nullptr;   // nullptr: uncompressed
    UploadLimit* upload_limit = nullptr; // nullptr: as fast as the node accepts them
};

// Sends to one node from a thread of its own, so that the node's events can be read while NARs travel. Serves the paths
// of one closure list and nothing else.
class Outbox {
public:
    Outbox(net::Connection& connection, const protocol::ClosureList& list, NarDelivery delivery, TimesWanted& times,
           LinkSpeed& speed);
    // Stops sending at once. Closes the connection if the node does not read what is being sent.
    ~Outbox();

    // Sends the message before any further piece of a NAR.
    void say(std::string message);
    // Queues these paths. Throws protocol::BadDocument for an index that is not in the list, or that the node has
    // already requested on this connection, or too often in total.
    void serve(const std::vector<std::uint32_t>& indices);
    // Drops all queued paths.
    void stop_serving();

    // Whether everything requested has been sent.
    bool idle() const;
    std::uint64_t bytes_sent() const { return bytes_sent_; } // of NARs, as they travel
    // The size of these NARs uncompressed. A compressed NAR counts as a whole as soon as its first piece is sent.
    std::uint64_t nar_bytes_sent() const { return nar_bytes_sent_; }
    // Throws the error that ended the thread, such as an unreadable store path or a lost connection.
    void check() const;

private:
    class Pieces;

    void run();
    void serve_one(std::uint32_t index);
    void send_nar(std::uint32_t index);
    void send_plain(std::uint32_t index);
    void send_packed(std::uint32_t index, int level);
    void pack_and_send(std::uint32_t index, int level, std::uint64_t sent);
    void send_piece(std::string message, size_t bytes);
    void await_turn(size_t bytes);
    void make_way();      // for messages and for the end
    void send_messages(); // those passed to say()
    size_t piece_bytes() const;

    net::Connection& connection_;
    const protocol::ClosureList& list_;
    NarDelivery delivery_;
    TimesWanted& times_;
    LinkSpeed& speed_;
    std::vector<bool> wanted_here_;
    std::atomic<std::uint64_t> bytes_sent_ = 0;
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
    std::thread thread_; // last, because it uses the members above
};

} // namespace waggle::trigger
