#pragma once

#include "agent/activation_report.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/base/time.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/protocol/deployment.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

inline constexpr auto activation_unit = "waggle-activation";

struct ActivationRequest {
    protocol::DeploymentId id;
    protocol::Goal goal = protocol::Goal::switch_;
    nix::StorePath toplevel;
    protocol::Rollback rollback;
};

// The transient unit in which a system is activated: it outlives the session and the agent.
class ActivationUnit {
public:
    virtual ~ActivationUnit() = default;

    // Throws Error when the unit could not be started; nothing has then happened.
    virtual void start(const ActivationRequest& request) = 0;

    // Waits for the unit's end, passing its output on line by line; also for one that an agent before this one started.
    // nullopt: neither the unit nor its result is there (the node was rebooted). Throws Interrupted.
    virtual std::optional<ActivationReport> await(const protocol::DeploymentId& id, Time started,
                                                  const std::function<void(std::string_view)>& on_line,
                                                  const Interrupt& interrupt) = 0;
};

// By systemd-run, systemctl and journalctl.
class SystemdActivationUnit : public ActivationUnit {
public:
    explicit SystemdActivationUnit(std::filesystem::path state_dir);

    void start(const ActivationRequest& request) override;
    std::optional<ActivationReport> await(const protocol::DeploymentId& id, Time started,
                                          const std::function<void(std::string_view)>& on_line,
                                          const Interrupt& interrupt) override;

private:
    std::filesystem::path state_dir_;
};

// systemd-run's arguments: everything about the unit is here.
std::vector<std::string> activation_command(const ActivationRequest& request, const std::filesystem::path& agent,
                                            const std::filesystem::path& state_dir, std::string_view path_variable);

// The lines between which an activation's own output stands in the journal.
std::string begin_mark(const protocol::DeploymentId& id);
std::string end_mark(const protocol::DeploymentId& id);

// Picks one activation's output out of the journal's lines; what it passed on once it does not pass on again
// when it is given the journal from the start a second time.
class OutputFilter {
public:
    OutputFilter(const protocol::DeploymentId& id, std::function<void(std::string_view)> on_line);

    void line(std::string_view line);
    // The journal is going to be read again from the start.
    void restart();
    bool seen_end() const { return seen_end_; }

private:
    std::string begin_;
    std::string end_;
    std::function<void(std::string_view)> on_line_;
    bool inside_ = false;
    bool seen_end_ = false;
    size_t position_ = 0; // lines of the activation in this reading
    size_t passed_ = 0;   // lines passed on in all readings
};

} // namespace waggle::agent
