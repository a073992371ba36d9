#pragma once

#include "shared/protocol/messages.hpp"
#include "trigger/build/store.hpp"
#include "trigger/hive/hive.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace waggle::trigger {

nix::StorePath sample_path(char digit, std::string_view name);
EvaluatedNode sample_node(const std::string& name);
protocol::Facts sample_facts();

// Three paths of a few hundred bytes; the toplevel last. NAR contents are as sample_nar says.
std::shared_ptr<const Closure> sample_closure();
std::string sample_nar(size_t index);
ReadNar sample_nar_reader();

} // namespace waggle::trigger
