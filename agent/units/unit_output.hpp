#pragma once

#include "agent/state/state.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/base/line_splitter.hpp"
#include "shared/base/process.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The journal lines that enclose the output of one unit.
std::string begin_mark(const protocol::DeploymentId& id);
std::string end_mark(const protocol::DeploymentId& id);

// The command that prints the output of the transient units since that time, and no line of any other process.
std::vector<std::string> read_output(Time since, bool follow);

// Selects the output of one deployment's units from the journal's lines. After restart() it skips the lines that it has
// already forwarded.
class OutputFilter {
public:
    OutputFilter(const protocol::DeploymentId& id, std::function<void(std::string_view)> on_line);

    void line(std::string_view line);
    // Announces that the journal follows again from the start.
    void restart();
    // Whether every begun unit has logged its end.
    bool seen_end() const { return seen_end_; }

private:
    std::string begin_;
    std::string end_;
    std::function<void(std::string_view)> on_line_;
    bool inside_ = false;
    bool seen_end_ = false;
    size_t position_ = 0; // lines of the deployment in this pass
    size_t passed_ = 0;   // lines forwarded in all passes
};

// Follows the journal. Without a journal, the units run without visible output.
class UnitOutput {
public:
    UnitOutput(const DeploymentRecord& record, const std::function<void(std::string_view)>& on_line);

    int fd(); // to poll; -1 if there is nothing to follow
    void read_some();
    // Reads the rest after the units have ended. The follower receives new lines a quarter of a second late; reading
    // the whole journal does not wait.
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
