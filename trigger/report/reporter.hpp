#pragma once

#include "shared/protocol/outcome.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace waggle::trigger {

// The step that a node is in, as far as the trigger knows.
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

// Shows the operator what happens. Its functions may be called from any thread. The texts may come from nodes and Nix
// unchanged; the reporter makes them safe to print.
class Reporter {
public:
    virtual ~Reporter() = default;

    virtual void step(const std::string& node, Step step) = 0;
    virtual void line(const std::string& node, std::string_view text) = 0;
    virtual void transfer(const std::string& node, std::uint64_t bytes_done, std::uint64_t bytes_total) = 0;
    virtual void ended(const std::string& node, protocol::Outcome outcome, std::string_view message) = 0;
    // What the whole run is doing, such as a line of Nix output during a build for several nodes; "": nothing.
    virtual void activity(std::string_view text) = 0;
    // Whether lines and activities stay on the screen, so that those of two builds must not be mixed.
    virtual bool prints_lines() const { return true; }
    // A message about the whole run that must stay visible.
    virtual void note(std::string_view text) = 0;
};

struct NodeReport;

// Shows how the node has ended, with the first line of its message.
void show_end(Reporter& reporter, const NodeReport& report);

} // namespace waggle::trigger
