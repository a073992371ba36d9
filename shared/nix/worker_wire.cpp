#include "shared/nix/worker_wire.hpp"

#include "shared/base/bytes.hpp"
#include "shared/nix/daemon_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace waggle::nix {

namespace {

constexpr size_t max_path_bytes = 1024;    // a store path has at most 255; the error names a longer one by its length
constexpr size_t max_references = 100'000; // a NixOS toplevel has some thousands
constexpr size_t max_signatures = 1000;
constexpr size_t max_signature_bytes = 4096;
constexpr size_t max_content_address_bytes = 4096;

size_t padding_bytes(size_t length) {
    return (8 - length % 8) % 8;
}

[[noreturn]] void refuse(std::string_view problem) {
    throw DaemonError(fmt::format("the nix daemon's answer cannot be understood: {}", problem));
}

} // namespace

void WireWriter::number(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8)
        bytes_ += static_cast<char>(static_cast<unsigned char>(value >> shift));
}

void WireWriter::string(std::string_view text) {
    number(text.size());
    bytes_ += text;
    bytes_.append(padding_bytes(text.size()), '\0');
}

void WireWriter::paths(std::span<const StorePath> paths) {
    number(paths.size());
    for (const StorePath& path : paths)
        this->path(path);
}

void WireWriter::path_info(const PathInfo& info) {
    path(info.path);
    string(info.deriver ? info.deriver->absolute() : "");
    string(to_hex(info.nar_hash));
    paths(info.references);
    number(0); // registration time: now
    number(info.nar_size);
    boolean(false); // ultimate: not built here
    number(0);      // signatures
    string("");     // content address
}

std::uint64_t WireReader::number() {
    std::array<std::byte, 8> bytes;
    channel_.read(bytes);
    std::uint64_t value = 0;
    for (size_t i = 8; i-- > 0;)
        value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
    return value;
}

std::uint64_t WireReader::number(std::uint64_t max, std::string_view what) {
    std::uint64_t value = number();
    if (value > max)
        refuse(fmt::format("{} is {}, at most {} is allowed", what, value, max));
    return value;
}

bool WireReader::boolean() {
    return number(1, "a truth value") == 1;
}

std::string WireReader::string(size_t max_bytes) {
    auto length = static_cast<size_t>(number(max_bytes, "a string's length"));
    std::string text(length, '\0');
    channel_.read(std::as_writable_bytes(std::span(text)));
    padding(length);
    return text;
}

StorePath WireReader::path() {
    try {
        return StorePath::parse_absolute(string(max_path_bytes));
    } catch (const BadStorePath& error) {
        refuse(error.what());
    }
}

std::vector<StorePath> WireReader::paths(size_t max_paths) {
    auto count = static_cast<size_t>(number(max_paths, "the number of paths"));
    std::vector<StorePath> paths;
    for (size_t i = 0; i < count; ++i)
        paths.push_back(path());
    return paths;
}

PathInfo WireReader::path_info(const StorePath& path) {
    PathInfo info{.path = path, .nar_hash = {}, .nar_size = 0, .references = {}, .deriver = {}};
    try {
        if (std::string deriver = string(max_path_bytes); !deriver.empty())
            info.deriver = StorePath::parse_absolute(deriver);
    } catch (const BadStorePath& error) {
        refuse(error.what());
    }
    auto hash = from_hex(string(2 * info.nar_hash.size()));
    if (!hash || hash->size() != info.nar_hash.size())
        refuse(fmt::format("the NAR hash of {} is not a SHA-256", path.absolute()));
    std::copy(hash->begin(), hash->end(), info.nar_hash.begin());
    info.references = paths(max_references);
    std::sort(info.references.begin(), info.references.end());
    number(); // registration time
    info.nar_size = number();
    boolean(); // ultimate
    for (std::uint64_t left = number(max_signatures, "the number of signatures"); left > 0; --left)
        string(max_signature_bytes);
    string(max_content_address_bytes);
    return info;
}

void WireReader::padding(size_t length) {
    std::array<std::byte, 8> zeros{};
    auto pad = std::span(zeros).first(padding_bytes(length));
    channel_.read(pad);
    if (std::any_of(pad.begin(), pad.end(), [](std::byte b) { return b != std::byte{0}; }))
        refuse("a string is not padded with zeros");
}

} // namespace waggle::nix
