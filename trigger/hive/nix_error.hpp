#pragma once

#include "shared/base/error.hpp"

#include <string>
#include <string_view>

namespace waggle::trigger {

// An evaluation that Nix ended with an error; the message is Nix's own, cut to what a person needs.
class EvaluationError : public Error {
public:
    using Error::Error;
};

// What a person needs of an evaluator's standard error: the error itself, its traces only with `show_trace`.
std::string nix_error(std::string_view standard_error, bool show_trace);

} // namespace waggle::trigger
