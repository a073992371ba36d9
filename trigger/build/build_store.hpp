#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/base/process.hpp"
#include "shared/nix/store_path.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace waggle::trigger {

// A Nix store in which systems are built instead of this machine's: --build-store.
class BuildStore {
public:
    // "ssh-ng://[USER@]HOST[:PORT][?…]", "unix://SOCKET", "local?root=FOLDER" or "/FOLDER". Throws Error for any other:
    // of a store that builds nothing, or does not keep what is built while it is deployed.
    static BuildStore parse(const std::string& url);

    const std::string& url() const { return url_; }
    bool is_by_ssh() const { return !host_.empty(); }

    // Speaks the worker protocol of the store on its standard streams.
    Command daemon() const;
    // The programs with which a chunk is built: `nix-store` on that store, and what copies derivations to it.
    Command nix_store() const;
    Command copy_derivations() const;
    // Makes a GC root there, in the home folder: waggle-gcroots/HIVE/node-NODE. Only by SSH.
    Command add_root(const std::string& hive, const std::string& node, const nix::StorePath& path) const;

private:
    Command on_this_machine(std::vector<std::string> argv) const;

    std::string url_;
    std::string host_; // with the user; empty: not by SSH
    std::string port_;
    std::string ssh_key_;
};

// Throws Error with what was said there.
void add_root_by_ssh(const BuildStore& store, const std::string& hive, const std::string& node,
                     const nix::StorePath& path, const Interrupt& interrupt);

// What Nix said when it could not use the store, and what may be done about it where that is known.
std::string explain_store_failure(const BuildStore& store, std::string_view said);

} // namespace waggle::trigger
