#include "agent/daemon/deployment_events.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace waggle::agent {

using protocol::DeploymentState;
using protocol::Event;

namespace {

Event new_event(Time time, Event::Kind kind, DeploymentState state, std::string text = {}) {
    Event event;
    event.time = time;
    event.kind = kind;
    event.state = state;
    event.text = std::move(text);
    return event;
}

protocol::Result result_of(const DeploymentRecord& record) {
    return {.id = record.id,
            .outcome = record.outcome.value_or(protocol::Outcome::unknown),
            .code = record.code,
            .message = record.message,
            .generation = record.generation,
            .fetched_paths = record.fetched_paths,
            .fetched_bytes = record.fetched_bytes};
}

} // namespace

DeploymentEvents::DeploymentEvents(const protocol::DeploymentId& id, Time since) : id_(id), since_(since) {}

DeploymentEvents::DeploymentEvents(const DeploymentRecord& record)
    : id_(record.id), published_(published_before(record)), state_(record.state), since_(record.since) {}

size_t DeploymentEvents::published_before(const DeploymentRecord& record) {
    const auto activation = std::ranges::find(record.state_log, DeploymentState::activating, &StateLogEntry::state);
    return static_cast<size_t>(activation - record.state_log.begin());
}

DeploymentState DeploymentEvents::state() const {
    const std::lock_guard lock(mutex_);
    return state_;
}

Time DeploymentEvents::since() const {
    const std::lock_guard lock(mutex_);
    return since_;
}

void DeploymentEvents::publish(const DeploymentRecord& record) {
    const std::lock_guard lock(mutex_);
    for (; published_ < record.state_log.size(); ++published_) {
        const auto& [state, at] = record.state_log[published_];
        events_.add(new_event(at, Event::Kind::state, state));
        spdlog::info("deployment {}: {}", id_.brief(), to_string(state));
    }
    state_ = record.state;
    since_ = record.since;
    if (record.outcome && !events_.ended()) {
        spdlog::info("deployment {}: {}{}{}", id_.brief(), to_string(*record.outcome),
                     record.message.empty() ? "" : ": ", record.message);
        events_.end(result_of(record));
    }
}

void DeploymentEvents::note(Time time, std::string text) {
    events_.add(new_event(time, Event::Kind::note, state(), std::move(text)));
}

void DeploymentEvents::log(Time time, std::string_view line) {
    events_.add(new_event(time, Event::Kind::log, state(), std::string(line.substr(0, EventLog::max_text_bytes + 1))));
}

void DeploymentEvents::progress(Time time, const FetchProgress& progress) {
    auto event = new_event(time, Event::Kind::progress, DeploymentState::fetching);
    event.paths_done = progress.paths_done;
    event.paths_total = progress.paths_total;
    event.bytes_done = progress.bytes_done;
    event.bytes_total = progress.bytes_total;
    events_.add(std::move(event));
}

} // namespace waggle::agent
