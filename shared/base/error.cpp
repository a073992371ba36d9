#include "shared/base/error.hpp"

#include <cerrno>
#include <system_error>

namespace waggle {

SystemError::SystemError(std::string_view what) : SystemError(what, errno) {}

SystemError::SystemError(std::string_view what, int error_number)
    : Error(std::string(what) + ": " + std::generic_category().message(error_number)), error_number_(error_number) {}

Error in_context(std::string_view context, const std::exception& cause) {
    return Error(std::string(context) + ": " + cause.what());
}

} // namespace waggle
