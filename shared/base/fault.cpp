#include "shared/base/fault.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/enum_text.hpp"
#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"
#include "shared/base/read_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace waggle {

namespace fs = std::filesystem;

// One line: COMMAND PATTERN LABEL MOMENT ACTION, such as "activate */state.json activated after kill". COMMAND is this
// program's first argument, PATTERN matches the changed path as in glob(7), and LABEL is the content's "state", or
// "removed". A * matches everything.
struct FaultPoint::Plan {
    std::string command;
    std::string pattern;
    std::string label;
    std::string moment;
    std::string action; // kill, stop, fail, or lose: like stop, with the preceding syncs left out
};

namespace {

constexpr auto default_folder = "/var/lib/waggle-fault";
constexpr size_t max_plan_bytes = 4096;
constexpr size_t max_command_line_bytes = 256 << 10;
constexpr size_t max_saved_bytes = 64 << 20;

struct MomentWord {
    FaultPoint::Moment moment;
    std::string_view text;
    int error; // the errno of the system call after it, if the action is `fail`
};
constexpr std::array moments = {
    MomentWord{FaultPoint::Moment::before, "before", ENOSPC},
    MomentWord{FaultPoint::Moment::written, "written", EIO},
    MomentWord{FaultPoint::Moment::changed, "changed", EIO},
    MomentWord{FaultPoint::Moment::after, "after", EIO},
};
static_assert(has_each_once(moments, &MomentWord::moment, FaultPoint::Moment::after));

// Returns an empty path outside of tests.
fs::path fault_folder() {
    const char* other = std::getenv("WAGGLE_FAULT_FOLDER"); // set by a unit test
    fs::path folder = other == nullptr ? default_folder : other;
    std::error_code error;
    return fs::is_directory(folder, error) ? folder : fs::path();
}

// A test must not continue with a journal that lacks a line.
[[noreturn]] void give_up(std::string_view what) {
    std::fprintf(stderr, "the fault point: %.*s: errno %d\n", static_cast<int>(what.size()), what.data(), errno);
    std::abort();
}

std::string command_word() {
    const auto line = read_file("/proc/self/cmdline", max_command_line_bytes);
    const auto first = line.find('\0');
    if (first == std::string::npos || first + 1 >= line.size())
        return "-";
    return line.substr(first + 1, line.find('\0', first + 1) - first - 1);
}

std::string label_of(std::string_view content) {
    constexpr std::string_view key = "\"state\": \"";
    const auto at = content.find(key);
    if (at == std::string_view::npos)
        return "-";
    const auto begin = at + key.size();
    return std::string(content.substr(begin, content.find('"', begin) - begin));
}

// Processes and threads write concurrently, so a line is one write.
void journal(const std::string& line) {
    const auto folder = fault_folder();
    if (folder.empty())
        return;
    const Fd fd(::open((folder / "journal").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    const auto text = line + "\n";
    if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        give_up("the journal was not written");
}

// Saves the entry as it is and returns its name in saved/: "-" for no entry, "folder" for a folder.
std::string save(const fs::path& entry) {
    const auto status = fs::symlink_status(entry);
    if (!fs::exists(status))
        return "-";
    if (fs::is_directory(status))
        return "folder";
    const auto name = to_hex(random_bytes<8>());
    const auto copy = fault_folder() / "saved" / name;
    fs::create_directories(copy.parent_path());
    if (fs::is_symlink(status)) {
        fs::copy_symlink(entry, copy);
        return name;
    }
    std::ofstream out(copy, std::ios::binary);
    out << read_file(entry, max_saved_bytes);
    if (!out.flush())
        give_up("the old content was not saved");
    return name;
}

bool matches(const std::string& pattern, const std::string& text) {
    return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

} // namespace

FaultPoint::FaultPoint(const fs::path& target, std::string_view content) : content_(content), target_(target) {
    const auto folder = fault_folder();
    const auto text = folder.empty() ? std::nullopt : read_file_if_exists(folder / "plan", max_plan_bytes);
    if (!text)
        return;
    Plan plan;
    std::istringstream words(*text);
    if (!(words >> plan.command >> plan.pattern >> plan.label >> plan.moment >> plan.action))
        give_up("the plan is not COMMAND PATTERN LABEL MOMENT ACTION");
    if (matches(plan.command, command_word()) && matches(plan.pattern, target.string()) &&
        matches(plan.label, label_of(content)))
        plan_ = std::make_unique<Plan>(std::move(plan));
}

FaultPoint::~FaultPoint() = default;

void FaultPoint::at(Moment moment) {
    const auto& word = row_of(moments, &MomentWord::moment, moment);
    if (!plan_ || plan_->moment != word.text)
        return;
    const auto folder = fault_folder();
    if (::rename((folder / "plan").c_str(), (folder / "hit").c_str()) != 0)
        return;                                                     // another process came first
    ::rename((folder / "next").c_str(), (folder / "plan").c_str()); // usually there is none
    // raise(3) returns only once this thread has the signal. After kill(2) this thread might continue until another one
    // has it.
    if (plan_->action == "kill")
        ::raise(SIGKILL);
    if (plan_->action == "stop" || plan_->action == "lose")
        ::raise(SIGSTOP);
    if (plan_->action == "fail") {
        errno = word.error;
        throw SystemError(fmt::format("{} {}, as the test wants it", plan_->moment, target_.string()));
    }
}

bool FaultPoint::syncs() const {
    return !plan_ || plan_->action != "lose";
}

void FaultPoint::will_change(const fs::path& entry) const {
    if (!fault_folder().empty())
        journal(fmt::format("change\t{}\t{}\t{}\t{}", command_word(), entry.string(),
                            entry == target_ ? label_of(content_) : "-", save(entry)));
}

void FaultPoint::has_content(const fs::path& file) {
    journal(fmt::format("content\t{}", file.string()));
}

void FaultPoint::is_synced(const fs::path& file) {
    journal(fmt::format("synced\t{}", file.string()));
}

void FaultPoint::will_move(const fs::path& from, const fs::path& to) {
    journal(fmt::format("moved\t{}\t{}", from.string(), to.string()));
}

void FaultPoint::folder_is_synced(const fs::path& folder) {
    journal(fmt::format("folder\t{}", folder.string()));
}

void FaultPoint::has_tree(const fs::path& folder) {
    journal(fmt::format("tree\t{}", folder.string()));
}

void FaultPoint::file_system_is_synced(const fs::path& folder) {
    journal(fmt::format("disk\t{}", folder.string()));
}

} // namespace waggle
