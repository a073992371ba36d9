#include "trigger/hive/select.hpp"

#include "shared/base/error.hpp"
#include "trigger/base/nearest_word.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

namespace waggle::trigger {

namespace {

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\n";
    const size_t begin = text.find_first_not_of(blanks);
    if (begin == std::string_view::npos)
        return {};
    return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

bool is_glob(std::string_view rule) {
    return rule.find_first_of("*?[") != std::string_view::npos;
}

// Whether every "[" that begins a set of characters is closed.
bool is_closed(std::string_view glob) {
    for (size_t open = glob.find('['); open != std::string_view::npos;) {
        size_t first = open + 1;
        if (first < glob.size() && (glob[first] == '!' || glob[first] == '^'))
            ++first;
        const size_t close = glob.find(']', first + 1); // a "]" in first place is a member of the set
        if (close == std::string_view::npos)
            return false;
        open = glob.find('[', close);
    }
    return true;
}

bool matches_glob(const std::string& glob, const std::string& word) {
    return ::fnmatch(glob.c_str(), word.c_str(), 0) == 0;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(separator, begin), text.size());
        parts.push_back(trimmed(text.substr(begin, end - begin)));
        begin = end + 1;
    }
    return parts;
}

std::vector<std::string> all_tags(const std::map<std::string, DeploymentOptions>& deployments) {
    std::vector<std::string> tags;
    for (const auto& [node, deployment] : deployments)
        tags.insert(tags.end(), deployment.tags.begin(), deployment.tags.end());
    return tags;
}

} // namespace

bool Selector::Term::matches(const std::string& node, std::span<const std::string> tags) const {
    const bool found =
        is_tag ? std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) { return matches_glob(glob, tag); })
               : matches_glob(glob, node);
    return found != is_negated;
}

Selector::Term Selector::parse_term(std::string_view text, std::string_view whole) {
    const auto refuse = [&](std::string_view problem) { return Error(fmt::format("--on “{}” {}", whole, problem)); };
    Term term;
    std::string_view rest = text;
    if (rest.starts_with('!')) {
        term.is_negated = true;
        rest = trimmed(rest.substr(1));
    }
    if (rest.starts_with('!'))
        throw refuse("has “!!”; write the name or tag alone to select it, and with one “!” to exclude it");
    if (rest.starts_with('@')) {
        term.is_tag = true;
        rest = trimmed(rest.substr(1));
    }
    if (rest.empty() && term.is_tag)
        throw refuse("has an empty rule: “@” without a tag behind it");
    if (rest.empty() && term.is_negated)
        throw refuse("has an empty rule: “!” without a name or tag behind it");
    if (rest.empty())
        throw refuse(
            "has an empty rule; write names, globs or @tags, joined by commas (any of them) or & (all of them)");
    if (const size_t odd = rest.find_first_of("@!", term.is_tag ? 0 : 1);
        odd != std::string_view::npos && rest.find('[') == std::string_view::npos)
        throw refuse(fmt::format(
            "has “{}” inside “{}”; separate rules with commas, and terms that must all match with &", rest[odd], text));
    if (!is_closed(rest))
        throw refuse(fmt::format("has “[” without “]” in “{}”", rest));
    term.glob = rest;
    return term;
}

Selector Selector::parse(std::string_view text) {
    Selector selector;
    selector.text_ = text;
    for (const std::string_view part : split(text, ',')) {
        Rule rule;
        for (const std::string_view term : split(part, '&'))
            rule.push_back(parse_term(term, text));
        const bool is_all_negated = std::all_of(rule.begin(), rule.end(), [](const Term& t) { return t.is_negated; });
        if (is_all_negated && rule.size() > 1)
            throw Error(fmt::format("--on “{}”: the rule “{}” only excludes nodes; separate its terms with commas to "
                                    "exclude each, or begin with the nodes to select, as in *&{}",
                                    text, part, part));
        if (is_all_negated) {
            rule.front().is_negated = false;
            selector.left_out_.push_back(std::move(rule.front()));
        } else {
            selector.rules_.push_back(std::move(rule));
        }
    }
    return selector;
}

bool Selector::names(const std::string& node) const {
    return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
        return rule.size() == 1 && !rule.front().is_tag && rule.front().glob == node;
    });
}

bool Selector::needs_tags() const {
    const auto is_tag = [](const Term& term) { return term.is_tag; };
    return std::any_of(left_out_.begin(), left_out_.end(), is_tag) ||
           std::any_of(rules_.begin(), rules_.end(),
                       [&](const Rule& rule) { return std::any_of(rule.begin(), rule.end(), is_tag); });
}

void Selector::check(const Term& term, std::span<const std::string> nodes,
                     const std::map<std::string, DeploymentOptions>& deployments) const {
    if (is_glob(term.glob))
        return;
    if (!term.is_tag) {
        if (std::find(nodes.begin(), nodes.end(), term.glob) == nodes.end())
            throw Error(fmt::format("the hive has no node “{}”{}", term.glob, did_you_mean(term.glob, nodes)));
        return;
    }
    const std::vector<std::string> tags = all_tags(deployments);
    if (std::find(tags.begin(), tags.end(), term.glob) == tags.end())
        throw Error(fmt::format("no node has the tag “{}” that --on “{}” excludes{}", term.glob, text_,
                                did_you_mean(term.glob, tags)));
}

std::string Selector::nearest_tag(const std::vector<std::string>& tags) const {
    for (const Rule& rule : rules_) {
        for (const Term& term : rule) {
            if (term.is_tag && !is_glob(term.glob) && std::find(tags.begin(), tags.end(), term.glob) == tags.end())
                return did_you_mean(term.glob, tags);
        }
    }
    return {};
}

std::vector<std::string> Selector::select(std::span<const std::string> nodes,
                                          const std::map<std::string, DeploymentOptions>& deployments) const {
    // It is fine to select by a tag that no node has yet. A tag to exclude that no node has is misspelt, and the nodes
    // that it should have protected would be deployed.
    for (const Rule& rule : rules_) {
        for (const Term& term : rule) {
            if (!term.is_tag || term.is_negated)
                check(term, nodes, deployments);
        }
    }
    for (const Term& term : left_out_)
        check(term, nodes, deployments);

    std::vector<std::string> selected;
    for (const std::string& node : nodes) {
        const auto found = deployments.find(node);
        const std::span<const std::string> tags =
            found == deployments.end() ? std::span<const std::string>() : found->second.tags;
        const auto matches = [&](const Term& term) { return term.matches(node, tags); };
        const bool meant = rules_.empty() || std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
                               return std::all_of(rule.begin(), rule.end(), matches);
                           });
        if (meant && std::none_of(left_out_.begin(), left_out_.end(), matches))
            selected.push_back(node);
    }
    if (selected.empty())
        throw Error(fmt::format("--on “{}” matches none of the hive's {} nodes{}", text_, nodes.size(),
                                nearest_tag(all_tags(deployments))));
    return selected;
}

} // namespace waggle::trigger
