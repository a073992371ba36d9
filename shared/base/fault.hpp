#pragma once

#include <filesystem>
#include <string_view>

namespace waggle::fault {

// For tests, in builds with -DWAGGLE_FAULTS=ON only; in others these are empty and cost nothing.
//
// The file /run/waggle-fault, if it is there when a process starts, has one line: COMMAND N ACTION. It steers the
// process whose subcommand is COMMAND ("daemon", "activate", "commit", "rollback") at its N-th persistent write from 1
// on (write_file_atomically, remove_file, replace_link, sync) and is removed when it has struck, so that the next
// process lives:
//   kill-before, kill-after   SIGKILL to itself
//   stop-before, stop-after   makes /run/waggle-fault-reached and stops itself (SIGSTOP): the test cuts the power
//   fail                      the write throws "no space left on device"
//   fail-sync                 the fsync fails; the write is undone
//   lose-before, lose-after   as stop-*, but everything that was not fsynced by then is undone first
// /run/waggle-fault-log, if it is there, gets a line for each write: COMMAND N KIND PATH. That is how tests count them.

#ifdef WAGGLE_FAULTS
void start(std::string_view command); // by the command line, when the subcommand is known
class Write {                         // around one persistent write
public:
    Write(std::string_view kind, const std::filesystem::path& path); // may throw, kill or stop
    ~Write();                                                        // may kill or stop
    void before_sync();                                              // may throw
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;
};
#else
inline void start(std::string_view) {}
class Write {
public:
    Write(std::string_view, const std::filesystem::path&) {}
    void before_sync() {}
};
#endif

} // namespace waggle::fault
