#include "trigger/build/choose_builders.hpp"

namespace waggle::trigger {

void choose_builders(std::span<EvaluatedNode> nodes, std::optional<bool> on_target) {
    for (EvaluatedNode& node : nodes)
        node.deployment.build_on_target = on_target.value_or(node.deployment.build_on_target) &&
                                          node.deployment.target_host && node.deployment.agent_enable;
}

} // namespace waggle::trigger
