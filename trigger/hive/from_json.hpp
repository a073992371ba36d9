#pragma once

#include "shared/protocol/json.hpp"
#include "trigger/hive/hive.hpp"

#include <string>

namespace waggle::trigger {

// These functions parse the JSON of hive.nix. They throw protocol::BadDocument.
HiveInfo hive_info_from_json(const protocol::Json& json);
DeploymentOptions deployment_options_from_json(const protocol::Json& json);
NodeAddress node_address_from_json(const std::string& name, const protocol::Json& json);
DeployedNode deployed_node_from_json(const std::string& name, const protocol::Json& json);
EvaluatedNode evaluated_node_from_json(const std::string& name, const protocol::Json& json);

} // namespace waggle::trigger
