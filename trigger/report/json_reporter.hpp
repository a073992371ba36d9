#pragma once

#include "shared/protocol/json.hpp"
#include "trigger/report/reporter.hpp"

#include <memory>

namespace waggle::trigger {

// Prints every event as a JSON object on a line of its own to standard output: --json. docs/reference/json.md
// describes the objects.
std::unique_ptr<Reporter> make_json_reporter();

// Prints one object of --json on a line of its own, in one write.
void print_json_line(const protocol::Json& object);

} // namespace waggle::trigger
