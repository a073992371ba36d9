#pragma once

#include "agent/line_splitter.hpp"
#include "agent/state.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/base/process.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace waggle::agent {

// What the transient units of a deployment print goes to the journal under this name, and from there to the trigger.
inline constexpr auto output_identifier = "waggle-activation";

// The lines between which one unit's own output stands in the journal.
std::string begin_mark(const protocol::DeploymentId& id);
std::string end_mark(const protocol::DeploymentId& id);

// Picks the output of one deployment's units out of the journal's lines; what it passed on once it does not pass on
// again when it is given the journal from the start a second time.
class OutputFilter {
public:
    OutputFilter(const protocol::DeploymentId& id, std::function<void(std::string_view)> on_line);

    void line(std::string_view line);
    // The journal is going to be read again from the start.
    void restart();
    // Whether every unit that began has said that it ended.
    bool seen_end() const { return seen_end_; }

private:
    std::string begin_;
    std::string end_;
    std::function<void(std::string_view)> on_line_;
    bool inside_ = false;
    bool seen_end_ = false;
    size_t position_ = 0; // lines of the deployment in this reading
    size_t passed_ = 0;   // lines passed on in all readings
};

// Follows the journal; without a journal the units go on unseen.
class UnitOutput {
public:
    UnitOutput(const DeploymentRecord& record, const std::function<void(std::string_view)>& on_line);

    int fd(); // to be polled; -1 when there is nothing to follow
    void read_some();
    // The units have ended: what the follower has not seen yet. It hears of new lines a quarter of a second late,
    // reading them all does not wait.
    void read_rest(const Interrupt& interrupt);

private:
    Command journal_command(bool follow) const;
    void read_whole_journal();

    Time since_;
    OutputFilter filter_;
    LineSplitter lines_;
    std::optional<Child> follower_;
};

} // namespace waggle::agent
