#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace waggle {

// A failure that a person will read: one sentence that names the thing, what is wrong and, where known, what to do.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// A failed system call. The message ends with the errno's text.
class SystemError : public Error {
public:
    // Reads errno. `what` describes the attempt, as in "opening /etc/waggle".
    explicit SystemError(std::string_view what);
    SystemError(std::string_view what, int error_number);

    int error_number() const { return error_number_; }

private:
    int error_number_;
};

// A wait has reached its deadline.
class TimedOut : public Error {
public:
    using Error::Error;
};

// The operator or a caller has asked to stop (Ctrl-C, cancel).
class Interrupted : public Error {
public:
    using Error::Error;
};

// Returns "context: message", for a caller that knows more than the place that failed.
Error in_context(std::string_view context, const std::exception& cause);

} // namespace waggle
