#pragma once

#include "shared/base/error.hpp"

namespace waggle::nix {

// The daemon returned an error, broke the protocol or went away. The text has no terminal escapes.
class DaemonError : public Error {
public:
    using Error::Error;
};

// The daemon returned an error.
class OperationFailed : public DaemonError {
public:
    using DaemonError::DaemonError;
};

// A build did not succeed. The text is Nix's, with "error:" before each of its errors.
class BuildFailed : public Error {
public:
    using Error::Error;
};

} // namespace waggle::nix
