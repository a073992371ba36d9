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

// Keeps concurrent builds from building the same derivations. If two builds need the same new derivation, Nix lets the
// second one check only every five seconds whether the first has finished it. So the second begins when no derivation
// is left that both would build. Safe to use from several threads.
class BuildTurns {
public:
    // Returns the derivations that a build would build now; nullopt: unknown, so the build runs alone.
    using WillBuild = std::function<std::optional<std::set<nix::StorePath>>()>;

    explicit BuildTurns(size_t most_at_a_time) : most_at_a_time_(most_at_a_time) {}

    // Lets one build run during its lifetime.
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

    // Waits until the build may begin, and meanwhile calls `will_build` repeatedly. Throws Interrupted, and what
    // `will_build` throws.
    [[nodiscard]] Turn take(const WillBuild& will_build, const Interrupt& interrupt);

private:
    bool is_free(const std::optional<std::set<nix::StorePath>>& wanted) const;

    const size_t most_at_a_time_;
    std::mutex mutex_;
    std::condition_variable ended_;
    std::list<std::optional<std::set<nix::StorePath>>> running_; // what each had to build when it began
};

// Lets one build at a time print, because the lines of several would be mixed. Keeps the lines of the others until it
// has ended. Safe to use from several threads.
class BuildOutputs {
    struct Kept;

public:
    using Print = std::function<void(std::string_view)>; // may be called after the build has ended

    // The output of one build.
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
