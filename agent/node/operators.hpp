#pragma once

#include "agent/state/state.hpp"
#include "shared/ssh/key.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The operators of this node: those in the last committed configuration, or those that root has adopted at the console
// since. Booting an older generation changes nothing. Before the first deployment they are those in the configuration
// of the running agent.
OperatorList operators_of(const State& state, std::span<const ssh::PublicKey> configured);

// The operators in the state, or nullopt before the first deployment.
std::optional<OperatorList> stored_operators(const State& state);

// The list after the commit of a system whose configuration names these keys. A removed operator returns only with a
// system that is new to this node, never with an older generation.
OperatorList operators_after_commit(const OperatorList& now, std::span<const ssh::PublicKey> named,
                                    bool was_here_before);

// The list after root has adopted exactly these keys at the console.
OperatorList adopt(const OperatorList& now, std::span<const ssh::PublicKey> keys);

// The keys in a file in the form of authorized_keys: one a line, without options; empty lines and comments are skipped.
// Throws Error naming file and line, also when there is none or there are too many.
std::vector<ssh::PublicKey> parse_operator_lines(std::string_view text, std::string_view name_for_errors);

} // namespace waggle::agent
