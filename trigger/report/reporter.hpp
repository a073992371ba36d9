#pragma once

#include "shared/protocol/outcome.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace waggle::trigger {

// What a node is going through, as far as the trigger knows.
enum class Step {
    waiting,
    evaluating,
    building,
    built,
    reading_secrets,
    connecting,
    deploying,
    fetching,
    staged,
    activating,
    activated,
    committed,
    rolling_back,
    reconnecting,
    confirming, // reaching the agent that the new system has started
};
std::string_view to_string(Step step);

// Is told what happens, from any thread, and shows it to a person. Texts may come from nodes and from Nix as they are:
// the reporter makes them safe to show.
class Reporter {
public:
    virtual ~Reporter() = default;

    virtual void step(const std::string& node, Step step) = 0;
    virtual void line(const std::string& node, std::string_view text) = 0;
    virtual void transfer(const std::string& node, std::uint64_t bytes_done, std::uint64_t bytes_total) = 0;
    virtual void ended(const std::string& node, protocol::Outcome outcome, std::string_view message) = 0;
    // What the whole run is at, as a line of Nix that builds for several nodes; "" when that is over.
    virtual void activity(std::string_view text) = 0;
    // Whether lines and activities stay where they were printed, so that those of two builds must not be mixed.
    virtual bool prints_lines() const { return true; }
    // About the whole run, to be kept in sight.
    virtual void note(std::string_view text) = 0;
};

} // namespace waggle::trigger
