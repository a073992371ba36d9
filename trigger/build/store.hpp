#pragma once

#include "shared/nix/daemon.hpp"
#include "shared/protocol/closure_list.hpp"
#include "trigger/build/build_store.hpp"
#include "trigger/build/build_turns.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>

namespace waggle::trigger {

// A toplevel's closure in the forms a deployment needs.
struct Closure {
    protocol::ClosureList list;
    std::string text;
    protocol::ClosureSummary summary;
    std::vector<protocol::BootFile> boot_files;
};

// Reads a path's NAR of the given size to a sink.
using ReadNar = std::function<void(const nix::StorePath&, std::uint64_t nar_size, const nix::NarSink&)>;

// This machine's Nix store, or another one in which systems are built. A connection that is opened at the first use and
// held for the whole run protects the kept paths until the end. Safe to use from several threads.
class Store {
public:
    explicit Store(std::optional<BuildStore> other = {}) : other_(std::move(other)) {}

    // nullopt: this machine's store.
    const std::optional<BuildStore>& other() const { return other_; }
    // Connects in advance, so that a problem with the store shows before it is needed. Throws Error.
    void open();
    // Protects the paths, existing or not, from the garbage collector during this run.
    void keep(std::span<const nix::StorePath> paths);
    std::set<nix::StorePath> valid(std::span<const nix::StorePath> paths);
    // Returns the same object for nodes with the same toplevel.
    std::shared_ptr<const Closure> closure(const nix::StorePath& toplevel);
    // To be held while copying to another store: see send_derivations.
    [[nodiscard]] std::unique_lock<std::mutex> turn_to_copy() { return std::unique_lock(copying_); }
    // To be held while building the derivations. Returns when no other build of this run would build one of them.
    [[nodiscard]] BuildTurns::Turn turn_to_build(std::span<const nix::StorePath> drvs, const Interrupt& interrupt);
    BuildOutputs& build_outputs() { return outputs_; }
    // Makes `link` a symbolic link to the path, and a GC root.
    void add_root(const std::filesystem::path& link, const nix::StorePath& path);

    // Reads over a connection of its own, opened at the first call.
    ReadNar nar_reader() const;

private:
    static constexpr size_t builds = 4; // a build of hours must not delay all others; Nix has its own limits

    nix::Daemon& daemon();
    std::optional<std::set<nix::StorePath>> will_build(std::span<const nix::StorePath> drvs);

    std::optional<BuildStore> other_;
    std::mutex copying_;
    BuildTurns turns_{builds};
    BuildOutputs outputs_;
    std::mutex asking_;                     // guards questioner_
    std::optional<nix::Daemon> questioner_; // for answers that may take a while, if substituters are queried
    std::mutex mutex_;                      // guards the following members
    std::optional<nix::Daemon> daemon_;
    std::map<nix::StorePath, std::shared_ptr<const Closure>> closures_;
};

} // namespace waggle::trigger
