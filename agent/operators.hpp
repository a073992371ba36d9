#pragma once

#include "agent/state.hpp"
#include "shared/ssh/key.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// Who may deploy to this node: whom the configuration names that was committed last, or whom root adopted at the
// console since. An older generation that is booted changes nothing. Before the first deployment: whom the
// configuration of the running agent names.
OperatorList operators_of(const State& state, std::span<const ssh::PublicKey> configured);

// What the state holds of that; nullopt before the first deployment.
std::optional<OperatorList> stored_operators(const State& state);

// The list once a system is committed whose configuration names these keys. Who was removed comes back with a system
// that is new to this node, never with an older generation.
OperatorList operators_after_commit(const OperatorList& now, std::span<const ssh::PublicKey> named,
                                    bool was_here_before);

// Exactly these, by root's word at the console.
OperatorList adopt(const OperatorList& now, std::span<const ssh::PublicKey> keys);

// The keys in a file in the form of authorized_keys: one a line, without options; empty lines and comments are skipped.
// Throws Error naming file and line, also when there is none or there are too many.
std::vector<ssh::PublicKey> parse_operator_lines(std::string_view text, std::string_view name_for_errors);

} // namespace waggle::agent
