#pragma once

#include "shared/base/time.hpp"

namespace waggle::agent {

// Makes processes whose parent dies children of this process (prctl(2), PR_SET_CHILD_SUBREAPER), so that
// kill_descendants finds them.
void adopt_orphans();

// Kills and reaps every descendant: a program that hangs often has children that hang. Returns at the deadline at the
// latest. No other thread may have a child process at that time.
void kill_descendants(Deadline deadline);

} // namespace waggle::agent
