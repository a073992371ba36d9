#pragma once

#include "trigger/hive/hive.hpp"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

// Which nodes `--on` means: rules joined by commas. A rule is one or more terms joined by "&", a term is a name, a glob
// over names, or "@" and a glob over tags, with "!" before it for the nodes that it does not match.
//
// A node is selected when every term of any rule matches. A rule that is nothing but one term with "!" leaves nodes out
// instead, wherever it stands; where there are only such rules, all other nodes are selected.
class Selector {
public:
    // Throws Error that names the rule and what is wrong with it.
    static Selector parse(std::string_view text);

    // Whether a rule is this node's name.
    bool names(const std::string& node) const;
    // Whether tags must be known.
    bool needs_tags() const;

    // The selected nodes, in the order of `nodes`. `deployments` may be empty unless needs_tags(). Throws Error for a
    // name without a glob that no node has, for a tag to leave out that no node has, and when nothing at all is
    // selected.
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
    // For a tag that is asked for and that no node has: "; did you mean …".
    std::string nearest_tag(const std::vector<std::string>& tags) const;
    void check(const Term& term, std::span<const std::string> nodes,
               const std::map<std::string, DeploymentOptions>& deployments) const;

    std::vector<Rule> rules_;
    std::vector<Term> left_out_; // without their "!"
    std::string text_;
};

} // namespace waggle::trigger
