#include "agent/activation/examine.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace waggle::agent {

namespace {

constexpr size_t max_units_quoted = 5;

class Examination {
public:
    explicit Examination(SystemActions& actions)
        : actions_(actions), rollback_(actions.record().rollback), settled_(deadline_in(actions.settle_time())) {}

    std::optional<Problem> run() {
        if (auto problem = look_at_units(std::chrono::steady_clock::now()))
            return problem;
        if (const auto unhealthy = actions_.health_problem())
            return judge({}, unhealthy, rollback_).problem;
        return look_at_units(settled_);
    }

private:
    std::optional<Problem> look_at_units(Deadline until) {
        const auto units = actions_.failed_units(until);
        say_once(units);
        auto verdict = judge(units, std::nullopt, rollback_);
        if (verdict.kind == Verdict::Kind::bad)
            return std::move(verdict.problem);
        if (verdict.kind == Verdict::Kind::flawed && verdict.problem.text != noted_) {
            noted_ = verdict.problem.text;
            actions_.say(verdict.problem.text);
            actions_.change([&](DeploymentRecord& record) {
                record.problem_code = verdict.problem.code;
                record.problem = verdict.problem.text;
            });
        }
        return std::nullopt;
    }

    void say_once(const FailedUnits& units) {
        const auto is_new = [&](const std::string& unit) { return said_.insert(unit).second; };
        size_t quoted = 0;
        for (const auto& unit : units.blamed)
            if (is_new(unit) && ++quoted <= max_units_quoted)
                actions_.say_log_of(unit);
        std::vector<std::string> others;
        std::ranges::copy_if(units.others, std::back_inserter(others), is_new);
        if (!others.empty())
            actions_.say(describe_failed(others) + ", which is not this deployment's doing");
    }

    SystemActions& actions_;
    const protocol::Rollback rollback_;
    const Deadline settled_;
    std::set<std::string> said_;
    std::string noted_;
};

} // namespace

std::optional<Problem> examine(SystemActions& actions) {
    return Examination(actions).run();
}

} // namespace waggle::agent
