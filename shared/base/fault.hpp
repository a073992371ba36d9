#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace waggle {

// Lets a test fail, lose or interrupt a change of a persistent file. Every such change passes here: file.cpp makes a
// FaultPoint for each change and reports every step to it. The implementation is compiled in only with WAGGLE_FAULTS
// (the dev, asan and tsan presets; a release has fault_off.cpp), and acts only if the folder /var/lib/waggle-fault
// exists. The files in this folder:
//
//   journal   gets a line for each step, from which a test derives what a power cut would undo
//   saved/    keeps the previous content of each changed entry
//   plan      names the step that goes wrong, once; it is then renamed to `hit`
//   next      becomes the plan after that
//
// tests/system/faults.sh is the counterpart, and describes the lines.
class FaultPoint {
public:
    enum class Moment {
        before,  // nothing has changed yet
        written, // the new content is on the disk, under a name of its own
        changed, // the folder has the new entry, in memory
        after,   // the new entry is also on the disk
    };

    // `content` is what the file will hold, if the target is a file; `removal` if the file is removed.
    explicit FaultPoint(const std::filesystem::path& target, std::string_view content = {});
    static constexpr std::string_view removal = R"("state": "removed")";
    FaultPoint(const FaultPoint&) = delete;
    FaultPoint& operator=(const FaultPoint&) = delete;
    ~FaultPoint();

    // Throws SystemError, kills or stops this process if the plan says so.
    void at(Moment moment);
    // Returns false if this change must leave its syncs out.
    bool syncs() const;

    // To be called before a folder's entry is made, replaced or removed.
    void will_change(const std::filesystem::path& entry) const;
    static void has_content(const std::filesystem::path& file); // that is not on the disk yet
    static void is_synced(const std::filesystem::path& file);
    static void will_move(const std::filesystem::path& from, const std::filesystem::path& to);
    static void folder_is_synced(const std::filesystem::path& folder);
    // For files that another program writes below a folder, as the Nix daemon does. They are not on the disk yet.
    static void has_tree(const std::filesystem::path& folder);
    static void file_system_is_synced(const std::filesystem::path& folder);

private:
    struct Plan;
    std::unique_ptr<Plan> plan_; // null unless the plan is for this change
    std::string_view content_;
    std::filesystem::path target_;
};

} // namespace waggle
