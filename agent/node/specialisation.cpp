#include "agent/node/specialisation.hpp"

#include "agent/state/not_activated.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ranges>

namespace waggle::agent {

namespace {

// The name of the profile's specialisation that is running; "" if the profile's system itself or another system is
// running.
std::string running_name(const Host& host) {
    const auto profile = host.profile();
    const auto current = host.current_system();
    if (!profile || !current || *profile == *current)
        return {};
    for (const auto& [name, system] : host.specialisations(*profile))
        if (system == *current)
            return name;
    return {};
}

} // namespace

Specialisation choose_specialisation(const Host& host, const nix::StorePath& toplevel,
                                     const std::optional<std::string>& wanted) {
    const std::string name = wanted.value_or(running_name(host));
    if (name.empty())
        return {};
    const auto all = host.specialisations(toplevel);
    if (const auto found = all.find(name); found != all.end())
        return {.system = found->second, .note = {}};
    if (!wanted)
        return {.system = std::nullopt,
                .note = fmt::format("the specialisation {} runs now, and the new system has none of that name: its "
                                    "base is activated",
                                    name)};
    throw NotActivated(protocol::Outcome::failed_before_activation, "no-specialisation",
                       all.empty() ? fmt::format("the new system has no specialisations, and {} was asked for", name)
                                   : fmt::format("the new system has no specialisation {}, only {}", name,
                                                 fmt::join(all | std::views::keys, ", ")));
}

} // namespace waggle::agent
