#pragma once

#include "agent/system_actions.hpp"

#include <string>
#include <string_view>

namespace waggle::agent {

// Why the node goes back: the code and the sentence of the deployment's end.
struct Problem {
    std::string code;
    std::string text;
};

// Persists that the deployment has failed, then makes the system of before run again. Without rollback it is left as it
// is.
void fail(SystemActions& actions, const Problem& problem);

// The secrets of before the deployment. That they could not be put back is said and returned (empty: they are in
// place), and keeps nobody from going back.
std::string put_secrets_back(SystemActions& actions, SecretsStep step) noexcept;

// What asks for recover().
enum class Caller {
    activation_timer, // the activation has not ended in time
    confirm_timer,    // nobody has confirmed in time
    agent,            // a unit was found dead, or the node was rebooted
    boot_watch,       // some time after a boot; or the agent, where a watch is left of a deployment that has ended
    person,           // at the console
};
std::string_view to_string(Caller caller);
std::optional<Caller> parse_caller(std::string_view text);

// What a deployment that has to go back is told to have failed of.
Problem why_going_back(const DeploymentRecord& record, Caller caller, bool rebooted);

// Brings a deployment that is stuck to its end by the restart rules (agent/life.hpp). Nothing happens to one that has
// ended.
void recover(SystemActions& actions, Caller caller);

} // namespace waggle::agent
