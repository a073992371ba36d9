#pragma once

#include "shared/base/error.hpp"

#include <string>
#include <string_view>

namespace waggle::trigger {

// Nix ended an evaluation with an error. The message is Nix's own, reduced to what an operator needs.
class EvaluationError : public Error {
public:
    using Error::Error;
};

// Extracts what an operator needs from an evaluator's standard error: the error itself, and its traces only with
// `show_trace`.
std::string nix_error(std::string_view standard_error, bool show_trace);

} // namespace waggle::trigger
