#pragma once

#include "shared/base/error.hpp"
#include "shared/protocol/outcome.hpp"

#include <string>
#include <utility>

namespace waggle::agent {

// Ends a deployment before its activation, with the outcome and code to report.
class NotActivated : public Error {
public:
    NotActivated(protocol::Outcome outcome, std::string code, const std::string& message)
        : Error(message), outcome_(outcome), code_(std::move(code)) {}
    protocol::Outcome outcome() const { return outcome_; }
    const std::string& code() const { return code_; }

private:
    protocol::Outcome outcome_;
    std::string code_;
};

} // namespace waggle::agent
