#pragma once

#include "trigger/hive/hive.hpp"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

// Decides which nodes `--on` selects. Its text has rules separated by commas. A rule is one or more terms joined by
// "&". A term is a name, a glob over names, or "@" and a glob over tags; a "!" before it selects the nodes that do not
// match.
//
// A node is selected if all terms of any rule match. A rule that is a single term with "!" excludes nodes instead,
// wherever it stands. If there are only such rules, all other nodes are selected.
class Selector {
public:
    // Throws Error that names the rule and the problem.
    static Selector parse(std::string_view text);

    // Whether one of the rules is the node's name itself.
    bool names(const std::string& node) const;
    // Whether tags must be known.
    bool needs_tags() const;

    // Returns the selected nodes, in the order of `nodes`. `deployments` may be empty unless needs_tags(). Throws Error
    // if no node has a name that is not a glob, if no node has a tag to exclude, or if nothing is selected.
    std::vector<std::string> select(std::span<const std::string> nodes,
                                    const std::map<std::string, DeploymentOptions>& deployments) const;

private:
    struct Term {
        std::string glob;
        bool is_tag = false;
        bool is_negated = false;

        bool matches(const std::string& node, std::span<const std::string> tags) const;
    };
    using Rule = std::vector<Term>;

    static Term parse_term(std::string_view text, std::string_view whole);
    // Returns "; did you mean …" for a tag to select that no node has.
    std::string nearest_tag(const std::vector<std::string>& tags) const;
    void check(const Term& term, std::span<const std::string> nodes,
               const std::map<std::string, DeploymentOptions>& deployments) const;

    std::vector<Rule> rules_;
    std::vector<Term> left_out_; // without their "!"
    std::string text_;
};

} // namespace waggle::trigger
