#pragma once

#include "shared/protocol/messages.hpp"

namespace waggle::agent {

// How this node's secrets are, looked at in a transient unit (`waggle-agent secrets --message`), because the daemon
// that asks for it can neither open them nor see them all. Throws Error when the unit could not be started or did not
// end.
protocol::SecretsReport report_secrets_in_unit();

} // namespace waggle::agent
