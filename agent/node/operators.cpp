#include "agent/node/operators.hpp"

#include "agent/node/config.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace waggle::agent {

namespace {

using Keys = std::span<const ssh::PublicKey>;

// More than any operator removes in practice; the oldest are dropped first.
constexpr size_t max_removed = 512;

bool contains(Keys keys, const ssh::PublicKey& key) {
    return std::ranges::find(keys, key) != keys.end();
}

// Adds to the removed keys those that are neither operators now nor removed already.
void remove_missing(OperatorList& list, Keys keys) {
    for (const auto& key : keys)
        if (!contains(list.current, key) && !contains(list.removed, key))
            list.removed.push_back(key);
    if (list.removed.size() > max_removed)
        list.removed.erase(list.removed.begin(), list.removed.end() - max_removed);
}

} // namespace

std::optional<OperatorList> stored_operators(const State& state) {
    const auto& record = state.deployment;
    if (record && record->state == protocol::DeploymentState::committed && record->next_operators)
        return record->next_operators;
    return state.operators;
}

OperatorList operators_of(const State& state, Keys configured) {
    if (auto stored = stored_operators(state))
        return std::move(*stored);
    return {.current = {configured.begin(), configured.end()}, .removed = {}};
}

OperatorList operators_after_commit(const OperatorList& now, Keys named, bool was_here_before) {
    OperatorList next{.current = {named.begin(), named.end()}, .removed = now.removed};
    if (was_here_before)
        std::erase_if(next.current, [&](const auto& key) { return contains(now.removed, key); });
    std::erase_if(next.removed, [&](const auto& key) { return contains(next.current, key); });
    remove_missing(next, now.current);
    return next;
}

OperatorList adopt(const OperatorList& now, Keys keys) {
    return operators_after_commit(now, keys, false);
}

std::vector<ssh::PublicKey> parse_operator_lines(std::string_view text, std::string_view name_for_errors) {
    constexpr std::string_view blanks = " \t\r";
    std::vector<ssh::PublicKey> keys;
    for (size_t number = 1; !text.empty(); ++number) {
        auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        line.remove_prefix(std::min(line.size(), line.find_first_not_of(blanks)));
        line = line.substr(0, line.find_last_not_of(blanks) + 1);
        if (line.empty() || line.starts_with('#'))
            continue;
        try {
            keys.push_back(ssh::PublicKey::parse(line));
        } catch (const ssh::BadKey& error) {
            throw Error(fmt::format("{}, line {}: {}", name_for_errors, number, error.what()));
        }
        if (keys.size() > max_operators)
            throw Error(fmt::format("{} has more than {} keys", name_for_errors, max_operators));
    }
    if (keys.empty())
        throw Error(fmt::format("{} has no key: no operator could deploy to this node", name_for_errors));
    return keys;
}

} // namespace waggle::agent
