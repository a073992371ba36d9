#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace waggle {

// Where a test breaks, loses or interrupts a change of a persistent file. All of them pass here: file.cpp makes one for
// each change and tells it every step. What it does is compiled in with WAGGLE_FAULTS only (the dev, asan and tsan
// presets; fault_off.cpp is what a release has), and then only where the folder /var/lib/waggle-fault exists. There
//
//   journal   gets a line for each step, from which a test tells what a power cut would take back
//   saved/    keeps what each changed entry was before
//   plan      names the step that goes wrong, once; it becomes `hit` then
//   next      becomes the plan when that has happened
//
// tests/system/faults.sh is the other side, and says what the lines are.
class FaultPoint {
public:
    enum class Moment {
        before,  // nothing is changed yet
        written, // the new content is on the disk, under a name of its own
        changed, // the folder has the new entry, in memory
        after,   // on the disk, too
    };

    // `content`: what the file will hold, if it is one; `removal` when it goes.
    explicit FaultPoint(const std::filesystem::path& target, std::string_view content = {});
    static constexpr std::string_view removal = R"("state": "removed")";
    FaultPoint(const FaultPoint&) = delete;
    FaultPoint& operator=(const FaultPoint&) = delete;
    ~FaultPoint();

    // Throws SystemError, kills or stops this process when the plan says so.
    void at(Moment moment);
    // False: this change's syncs are to be left out.
    bool syncs() const;

    // Before a folder's entry is made, replaced or removed.
    void will_change(const std::filesystem::path& entry) const;
    static void has_content(const std::filesystem::path& file); // that is not on the disk yet
    static void is_synced(const std::filesystem::path& file);
    static void will_move(const std::filesystem::path& from, const std::filesystem::path& to);
    static void folder_is_synced(const std::filesystem::path& folder);
    // For what another program writes below a folder, as the Nix daemon does: its files are not on the disk yet.
    static void has_tree(const std::filesystem::path& folder);
    static void file_system_is_synced(const std::filesystem::path& folder);

private:
    struct Plan;
    std::unique_ptr<Plan> plan_; // null when this change is not the one
    std::string_view content_;
    std::filesystem::path target_;
};

} // namespace waggle
