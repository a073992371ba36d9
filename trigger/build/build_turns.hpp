#pragma once

#include "shared/base/interrupt.hpp"
#include "shared/nix/store_path.hpp"

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waggle::trigger {

// Keeps builds that run at the same time apart. Where two of them need the same new derivation, Nix lets the second
// look every five seconds whether the first is done with it; so the second begins when nothing is left that both would
// build. May be used from several threads.
class BuildTurns {
public:
    // The derivations that a build would build now; nullopt: not known, so the build runs alone.
    using WillBuild = std::function<std::optional<std::set<nix::StorePath>>()>;

    explicit BuildTurns(size_t most_at_a_time) : most_at_a_time_(most_at_a_time) {}

    // One that may run as long as this lives.
    class Turn {
    public:
        Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)), place_(other.place_) {}
        Turn& operator=(Turn&&) = delete;
        ~Turn();

    private:
        friend class BuildTurns;
        using Place = std::list<std::optional<std::set<nix::StorePath>>>::iterator;
        Turn(BuildTurns& turns, Place place) : turns_(&turns), place_(place) {}

        BuildTurns* turns_;
        Place place_;
    };

    // Returns when the build may begin; asks again what it would build while it waits. Throws Interrupted, and what
    // `will_build` throws.
    [[nodiscard]] Turn take(const WillBuild& will_build, const Interrupt& interrupt);

private:
    bool is_free(const std::optional<std::set<nix::StorePath>>& wanted) const;

    const size_t most_at_a_time_;
    std::mutex mutex_;
    std::condition_variable ended_;
    std::list<std::optional<std::set<nix::StorePath>>> running_; // what each had to build when it began
};

// Lets one build at a time print, where lines of several would be mixed: those of the others are kept until it has
// ended. May be used from several threads.
class BuildOutputs {
    struct Kept;

public:
    using Print = std::function<void(std::string_view)>; // may be called after the build has ended

    // One build's.
    class Output {
    public:
        Output(BuildOutputs& outputs, Print print);
        Output(const Output&) = delete;
        Output& operator=(const Output&) = delete;
        ~Output();

        void line(std::string_view text);

    private:
        friend class BuildOutputs;

        BuildOutputs& outputs_;
        std::list<Kept>::iterator place_;
    };

private:
    static constexpr size_t max_kept_bytes = 1 << 20;

    struct Kept {
        Print print;
        std::vector<std::string> lines = {};
        size_t bytes = 0;
        size_t left_out = 0; // lines
        bool has_ended = false;
    };

    void print_first();

    std::mutex mutex_;
    std::list<Kept> builds_; // the first may print
};

} // namespace waggle::trigger
