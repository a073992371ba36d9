#include "trigger/build/store.hpp"

#include "shared/protocol/boot_files.hpp"

namespace waggle::trigger {

namespace {

constexpr auto stall_timeout = std::chrono::minutes(5); // a garbage collection may hold the store that long

nix::Daemon open_store(const std::optional<BuildStore>& other) {
    if (!other)
        return nix::Daemon::open_default(stall_timeout);
    try {
        return nix::Daemon::spawn(other->daemon(), stall_timeout);
    } catch (const nix::DaemonError& error) {
        throw nix::DaemonError(explain_store_failure(*other, error.what()));
    }
}

} // namespace

nix::Daemon& Store::daemon() {
    if (!daemon_)
        daemon_.emplace(open_store(other_));
    return *daemon_;
}

void Store::open() {
    const std::scoped_lock lock(mutex_);
    daemon();
}

void Store::keep(std::span<const nix::StorePath> paths) {
    const std::scoped_lock lock(mutex_);
    daemon().add_temp_roots(paths);
}

std::set<nix::StorePath> Store::valid(std::span<const nix::StorePath> paths) {
    const std::scoped_lock lock(mutex_);
    return daemon().query_valid_paths(paths);
}

std::shared_ptr<const Closure> Store::closure(const nix::StorePath& toplevel) {
    const std::scoped_lock lock(mutex_);
    std::shared_ptr<const Closure>& known = closures_[toplevel];
    if (!known) {
        auto closure = std::make_shared<Closure>();
        closure->list = protocol::make_closure_list(nix::query_closure(daemon(), toplevel));
        closure->text = protocol::to_text(closure->list);
        closure->summary = protocol::summarize(closure->text, closure->list);
        if (!other_) // only then are its files on this machine
            closure->boot_files = protocol::find_boot_files(toplevel.absolute(), protocol::DeviceTrees::left_out);
        known = std::move(closure);
    }
    return known;
}

std::optional<std::set<nix::StorePath>> Store::will_build(std::span<const nix::StorePath> drvs) {
    const std::scoped_lock lock(asking_);
    try {
        if (!questioner_)
            questioner_.emplace(open_store(other_));
        return questioner_->query_will_build(drvs);
    } catch (const nix::DaemonError&) { // the build will report the problem
        questioner_.reset();
        return std::nullopt;
    }
}

BuildTurns::Turn Store::turn_to_build(std::span<const nix::StorePath> drvs, const Interrupt& interrupt) {
    return turns_.take([&] { return will_build(drvs); }, interrupt);
}

void Store::add_root(const std::filesystem::path& link, const nix::StorePath& path) {
    namespace fs = std::filesystem;
    fs::create_directories(link.parent_path());
    // Replace the link in one step: the old system must not lose its root before the new one has it.
    const fs::path fresh = fs::path(link).concat(".new");
    fs::remove(fresh);
    fs::create_symlink(path.absolute(), fresh);
    fs::rename(fresh, link);
    const std::scoped_lock lock(mutex_);
    daemon().add_indirect_root(fs::absolute(link));
}

ReadNar Store::nar_reader() const {
    const auto daemon = std::make_shared<std::optional<nix::Daemon>>();
    return [daemon, other = other_](const nix::StorePath& path, std::uint64_t nar_size, const nix::NarSink& sink) {
        if (!*daemon)
            daemon->emplace(open_store(other));
        (*daemon)->nar_from_path(path, nar_size, sink);
    };
}

} // namespace waggle::trigger
