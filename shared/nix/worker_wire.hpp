#pragma once

#include "shared/nix/duplex_channel.hpp"
#include "shared/nix/path_info.hpp"
#include "shared/nix/store_path.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::nix {

// The numbers of the worker protocol's operations (libstore/worker-protocol.hh).
enum class WorkerOp : std::uint64_t {
    is_valid_path = 1,
    build_paths = 9,
    add_temp_root = 11,
    add_indirect_root = 12,
    query_path_info = 26,
    query_valid_paths = 31,
    nar_from_path = 38,
    add_to_store_nar = 39,
    query_missing = 40,
};

// Writes values in the worker protocol's encoding: numbers as 64-bit little endian; strings as length, bytes, zeros up
// to the next multiple of 8; lists as count and items; an absent path as "". Source: libstore/worker-protocol.cc,
// libutil/serialise.cc.
class WireWriter {
public:
    void op(WorkerOp op) { number(static_cast<std::uint64_t>(op)); }
    void number(std::uint64_t value);
    void boolean(bool value) { number(value ? 1 : 0); }
    void string(std::string_view text);
    void path(const StorePath& path) { string(path.absolute()); }
    void paths(std::span<const StorePath> paths);
    // Writes path, deriver, NAR hash, references, registration time, NAR size, ultimate, signatures and content
    // address, as for a path that was built elsewhere and carries no signature.
    void path_info(const PathInfo& info);

    const std::string& bytes() const { return bytes_; }

private:
    std::string bytes_;
};

// Reads the same encoding from a channel. Throws DaemonError for everything that exceeds its cap or violates its form.
class WireReader {
public:
    explicit WireReader(DuplexChannel& channel) : channel_(channel) {}

    std::uint64_t number();
    std::uint64_t number(std::uint64_t max, std::string_view what);
    bool boolean();
    std::string string(size_t max_bytes);
    StorePath path();
    std::vector<StorePath> paths(size_t max_paths);
    // Reads the fields after the path, as QueryPathInfo returns them.
    PathInfo path_info(const StorePath& path);

private:
    void padding(size_t length);

    DuplexChannel& channel_;
};

} // namespace waggle::nix
