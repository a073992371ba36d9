#pragma once

#include "agent/event_log.hpp"
#include "agent/fetch.hpp"
#include "agent/state.hpp"
#include "shared/base/time.hpp"

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

namespace waggle::agent {

// What sessions are told of one deployment: the steps of its record, what happens in between, and how it ended.
// Safe to use from several threads.
class DeploymentStory {
public:
    DeploymentStory(const protocol::DeploymentId& id, Time since);
    // Of a deployment that an agent before this one began: that one has told of it up to its activation.
    explicit DeploymentStory(const DeploymentRecord& record);

    const EventLog& events() const { return events_; }
    bool ended() const { return events_.ended(); }
    protocol::DeploymentState state() const;
    Time since() const; // of the state

    // Tells of the record's steps that were not told yet, and of its end.
    void tell(const DeploymentRecord& record);
    void note(Time time, std::string text);
    void log(Time time, std::string_view line);
    void progress(Time time, const FetchProgress& progress);

    // Steps of the record that an agent before this one has told.
    static size_t told_before(const DeploymentRecord& record);

private:
    const protocol::DeploymentId id_;
    EventLog events_;
    mutable std::mutex mutex_; // for what follows
    size_t told_ = 0;          // states of the trail that are in `events_`
    protocol::DeploymentState state_ = protocol::DeploymentState::received;
    Time since_;
};

} // namespace waggle::agent
