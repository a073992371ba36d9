#include "trigger/build/build_turns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace waggle::trigger {

namespace {

using Clock = std::chrono::steady_clock;

// A build that waits for another one asks repeatedly what is left to build, but not continuously, because the answer
// takes a while on a large system.
constexpr Clock::duration least_turn_pause = std::chrono::milliseconds(50);
constexpr Clock::duration longest_turn_pause = std::chrono::seconds(1);
constexpr int pause_for_each_question = 5;

} // namespace

BuildTurns::Turn::~Turn() {
    if (!turns_)
        return;
    {
        const std::scoped_lock lock(turns_->mutex_);
        turns_->running_.erase(place_);
    }
    turns_->ended_.notify_all();
}

bool BuildTurns::is_free(const std::optional<std::set<nix::StorePath>>& wanted) const {
    if (running_.empty())
        return true;
    if (running_.size() >= most_at_a_time_ || !wanted)
        return false;
    return std::ranges::all_of(running_, [&](const auto& other) {
        return other && std::ranges::none_of(*wanted, [&](const auto& drv) { return other->contains(drv); });
    });
}

BuildTurns::Turn BuildTurns::take(const WillBuild& will_build, const Interrupt& interrupt) {
    for (;;) {
        interrupt.check();
        const Clock::time_point asked = Clock::now();
        std::optional<std::set<nix::StorePath>> wanted = will_build();
        const Clock::duration pause =
            std::clamp((Clock::now() - asked) * pause_for_each_question, least_turn_pause, longest_turn_pause);

        std::unique_lock lock(mutex_);
        if (is_free(wanted))
            return {*this, running_.insert(running_.end(), std::move(wanted))};
        ended_.wait_for(lock, pause);
    }
}

BuildOutputs::Output::Output(BuildOutputs& outputs, Print print) : outputs_(outputs) {
    const std::scoped_lock lock(outputs_.mutex_);
    place_ = outputs_.builds_.insert(outputs_.builds_.end(), Kept{.print = std::move(print)});
}

void BuildOutputs::Output::line(std::string_view text) {
    const std::scoped_lock lock(outputs_.mutex_);
    Kept& kept = *place_;
    if (place_ == outputs_.builds_.begin()) {
        kept.print(text);
    } else if (kept.bytes + text.size() > max_kept_bytes) {
        ++kept.left_out;
    } else {
        kept.bytes += text.size();
        kept.lines.emplace_back(text);
    }
}

void BuildOutputs::print_first() {
    Kept& first = builds_.front();
    for (const std::string& line : first.lines)
        first.print(line);
    if (first.left_out > 0)
        first.print(fmt::format("({} more lines are left out)", first.left_out));
    first.lines.clear();
    first.bytes = first.left_out = 0;
}

BuildOutputs::Output::~Output() {
    const std::scoped_lock lock(outputs_.mutex_);
    place_->has_ended = true;
    while (!outputs_.builds_.empty() && outputs_.builds_.front().has_ended) {
        outputs_.builds_.pop_front();
        if (!outputs_.builds_.empty())
            outputs_.print_first();
    }
}

} // namespace waggle::trigger
