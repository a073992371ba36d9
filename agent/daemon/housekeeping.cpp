#include "agent/daemon/housekeeping.hpp"

#include "agent/node/gc_roots.hpp"

#include <spdlog/spdlog.h>

#include <exception>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace waggle::agent {

void remember_end(const Environment& environment) noexcept {
    try {
        if (const auto record = environment.state.get().deployment)
            environment.archive.note(*record);
    } catch (const std::exception& error) {
        spdlog::error("could not write the end of a deployment to the history: {}", error.what());
    }
}

void remove_left_boot_watch(const Environment& environment) noexcept {
    try {
        const auto record = environment.state.get().deployment;
        if (record && record->outcome && record->state != protocol::DeploymentState::awaiting_reboot &&
            environment.host.has_boot_watch())
            environment.units.start_recovery(*record, RecoveryCause::boot_watch);
    } catch (const std::exception& error) {
        spdlog::warn("could not remove the stale boot watchdog: {}", error.what());
    }
}

void clean_up_after_deployment(const Environment& environment) noexcept {
#ifdef __GLIBC__
    ::malloc_trim(0); // a closure list and its store queries took some MiB, which an idle agent does not need
#endif
    remember_end(environment);
    remove_left_boot_watch(environment);
}

void release_expired_roots(const Environment& environment) {
    if (const auto record = environment.state.get().deployment)
        GcRoots(environment.state_dir).tidy(*record, environment.host, environment.clock());
}

} // namespace waggle::agent
