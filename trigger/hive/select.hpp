#pragma once

#include "trigger/hive/hive.hpp"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

// Which nodes `--on` means: rules joined by commas, each a name, a glob over names, or "@" and a glob over tags.
// A node is selected when any rule matches.
class Selector {
public:
    // Throws Error for an empty rule.
    static Selector parse(std::string_view text);

    // Whether tags must be known.
    bool needs_tags() const { return !tag_globs_.empty(); }

    // The selected nodes, in the order of `nodes`. `deployments` may be empty unless needs_tags(). Throws Error for a
    // rule without a glob that names no node, and when nothing at all is selected.
    std::vector<std::string> select(std::span<const std::string> nodes,
                                    const std::map<std::string, DeploymentOptions>& deployments) const;

private:
    std::vector<std::string> name_globs_;
    std::vector<std::string> tag_globs_;
    std::string text_;
};

} // namespace waggle::trigger
