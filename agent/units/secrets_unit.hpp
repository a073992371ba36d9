#pragma once

#include "shared/protocol/messages.hpp"

namespace waggle::agent {

// Reports the status of this node's secrets, from a transient unit (`waggle-agent secrets --message`), because the
// daemon can neither open them nor see all of them. Throws Error if the unit could not be started or did not end.
protocol::SecretsReport report_secrets_in_unit();

} // namespace waggle::agent
