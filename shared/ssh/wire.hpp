#pragma once

#include "shared/base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace waggle::ssh {

// Bytes that are not in SSH's wire encoding. Callers turn it into BadKey or BadSignature, which name the object.
class BadWire : public Error {
public:
    using Error::Error;
};

// Reads SSH's wire encoding (RFC 4251, section 5) from front to back. The results point into the bytes. A length is
// never trusted beyond the bytes that are present.
class WireReader {
public:
    explicit WireReader(std::string_view bytes) : rest_(bytes) {}

    std::uint32_t u32();
    std::string_view string();
    std::string_view raw(size_t size);
    std::string_view rest() const { return rest_; }
    void end() const; // throws if bytes are left

private:
    std::string_view rest_;
};

void put_u32(std::string& out, std::uint32_t number);
void put_string(std::string& out, std::string_view text);

} // namespace waggle::ssh
