#include "shared/ssh/wire.hpp"

#include <limits>

namespace waggle::ssh {

std::uint32_t WireReader::u32() {
    std::uint32_t number = 0;
    for (char byte : raw(4))
        number = number << 8 | static_cast<std::uint8_t>(byte);
    return number;
}

std::string_view WireReader::string() {
    return raw(u32());
}

std::string_view WireReader::raw(size_t size) {
    if (size > rest_.size())
        throw BadWire("it ends too early");
    auto bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
}

void WireReader::end() const {
    if (!rest_.empty())
        throw BadWire("there are bytes after its end");
}

void put_u32(std::string& out, std::uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(static_cast<char>(number >> shift & 0xff));
}

void put_string(std::string& out, std::string_view text) {
    if (text.size() > std::numeric_limits<std::uint32_t>::max())
        throw BadWire("a string of 4 GiB or more");
    put_u32(out, static_cast<std::uint32_t>(text.size()));
    out.append(text);
}

} // namespace waggle::ssh
