#pragma once

#include "shared/base/process.hpp"
#include "shared/nix/store_path.hpp"
#include "trigger/hive/nix_options.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace waggle::trigger {

// The Nix store that builds systems instead of this machine's: --build-store.
class BuildStore {
public:
    // Accepts "ssh-ng://[USER@]HOST[:PORT][?…]", "unix://SOCKET", "local?root=FOLDER" or "/FOLDER". Throws Error for
    // anything else, such as a store that cannot build, or that does not keep build results while they are deployed.
    static BuildStore parse(const std::string& url);

    const std::string& url() const { return url_; }
    bool is_by_ssh() const { return !host_.empty(); }

    // Speaks the store's worker protocol on standard input and output.
    Command daemon() const;
    // The programs that build a chunk: `nix-store` on that store, and the one that copies derivations to it.
    Command nix_store() const;
    Command copy_derivations() const;
    // Makes a GC root in the home folder there: waggle-gcroots/HIVE/node-NODE. Only for a store behind SSH.
    Command add_root(const std::string& hive, const std::string& node, const nix::StorePath& path) const;

private:
    Command on_this_machine(std::vector<std::string> argv) const;

    std::string url_;
    std::string host_; // with the user; empty: not behind SSH
    std::string port_;
    std::string ssh_key_;
};

// Parses --build-store; nullopt: this machine's store. Throws Error.
std::optional<BuildStore> build_store(const NixOptions& nix);

// Returns Nix's message about an unusable store, with advice if the cause is known.
std::string explain_store_failure(const BuildStore& store, std::string_view said);

} // namespace waggle::trigger
