#pragma once

#include "agent/daemon/event_log.hpp"
#include "agent/daemon/fetch.hpp"
#include "agent/state/state.hpp"
#include "shared/base/time.hpp"

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

namespace waggle::agent {

// The events of one deployment that sessions forward: its state changes, what happens in between, and its result.
// Safe to use from several threads.
class DeploymentEvents {
public:
    DeploymentEvents(const protocol::DeploymentId& id, Time since);
    // For a deployment that an earlier agent process began, which has published its events up to the activation.
    explicit DeploymentEvents(const DeploymentRecord& record);

    const EventLog& events() const { return events_; }
    bool ended() const { return events_.ended(); }
    protocol::DeploymentState state() const;
    Time since() const; // of the state

    // Publishes the record's state changes that are not published yet, and its end.
    void publish(const DeploymentRecord& record);
    void note(Time time, std::string text);
    void log(Time time, std::string_view line);
    void progress(Time time, const FetchProgress& progress);

    // The number of the record's state changes that an earlier agent process has published.
    static size_t published_before(const DeploymentRecord& record);

private:
    const protocol::DeploymentId id_;
    EventLog events_;
    mutable std::mutex mutex_; // guards the following members
    size_t published_ = 0;     // entries of the state log that are in `events_`
    protocol::DeploymentState state_ = protocol::DeploymentState::received;
    Time since_;
};

} // namespace waggle::agent
