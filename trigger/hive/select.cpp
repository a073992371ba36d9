#include "trigger/hive/select.hpp"

#include "shared/base/error.hpp"
#include "trigger/nearest_word.hpp"

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

bool matches(const std::string& glob, const std::string& word) {
    return ::fnmatch(glob.c_str(), word.c_str(), 0) == 0;
}

bool any_matches(const std::vector<std::string>& globs, const std::string& word) {
    return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) { return matches(glob, word); });
}

} // namespace

Selector Selector::parse(std::string_view text) {
    Selector selector;
    selector.text_ = text;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(',', begin), text.size());
        const std::string_view rule = trimmed(text.substr(begin, end - begin));
        if (rule.empty() || rule == "@")
            throw Error(
                fmt::format("--on “{}” has an empty rule; write names, globs or @tags, joined by commas", text));
        if (rule.front() == '@')
            selector.tag_globs_.emplace_back(rule.substr(1));
        else
            selector.name_globs_.emplace_back(rule);
        begin = end + 1;
    }
    return selector;
}

std::vector<std::string> Selector::select(std::span<const std::string> nodes,
                                          const std::map<std::string, DeploymentOptions>& deployments) const {
    for (const std::string& glob : name_globs_) {
        if (!is_glob(glob) && std::find(nodes.begin(), nodes.end(), glob) == nodes.end())
            throw Error(fmt::format("the hive has no node “{}”{}", glob, did_you_mean(glob, nodes)));
    }
    std::vector<std::string> selected;
    for (const std::string& node : nodes) {
        bool wanted = any_matches(name_globs_, node);
        if (const auto found = deployments.find(node); !wanted && found != deployments.end()) {
            const std::vector<std::string>& tags = found->second.tags;
            wanted =
                std::any_of(tags.begin(), tags.end(), [&](const auto& tag) { return any_matches(tag_globs_, tag); });
        }
        if (wanted)
            selected.push_back(node);
    }
    if (selected.empty())
        throw Error(fmt::format("--on “{}” matches none of the hive's {} nodes", text_, nodes.size()));
    return selected;
}

} // namespace waggle::trigger
