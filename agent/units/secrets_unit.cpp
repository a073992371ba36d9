#include "agent/units/secrets_unit.hpp"

#include "agent/units/own_unit.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <chrono>
#include <variant>

namespace waggle::agent {

namespace {

constexpr std::chrono::minutes secrets_unit_timeout{6}; // another process may hold the lock for five

} // namespace

protocol::SecretsReport report_secrets_in_unit() {
    const auto result = run_in_own_unit({.description = "Waggle: check the secrets of this node",
                                         .purpose = UnitPurpose::report_secrets,
                                         .subcommand = {"secrets", "--message"},
                                         .timeout = secrets_unit_timeout,
                                         .max_output_bytes = protocol::max_message_bytes});
    if (!result.status.success())
        throw Error(fmt::format("the secrets were not checked: {} {}", result.status.to_string(), result.err_tail));
    const auto incoming = protocol::decode(result.out);
    const auto* message = std::get_if<protocol::Message>(&incoming);
    const auto* report = message == nullptr ? nullptr : std::get_if<protocol::SecretsReport>(message);
    if (report == nullptr)
        throw Error("the secrets check returned an invalid report");
    return *report;
}

} // namespace waggle::agent
