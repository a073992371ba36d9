#include "shared/base/error.hpp"
#include "shared/base/fault.hpp"
#include "shared/base/file.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>
#include <sstream>
#include <string>

namespace waggle {
namespace {

namespace fs = std::filesystem;

class Fault : public testing::Test {
protected:
    void SetUp() override {
        fs::create_directory(faults());
        ::setenv("WAGGLE_FAULT_FOLDER", faults().c_str(), 1);
    }
    void TearDown() override { ::unsetenv("WAGGLE_FAULT_FOLDER"); }

    fs::path faults() const { return folder_.path() / "faults"; }
    fs::path file() const { return folder_.path() / "file"; }
    void plan(const std::string& line) const { write_without_faults(faults() / "plan", line); }

    static void write_without_faults(const fs::path& path, const std::string& content) {
        const std::string folder = std::getenv("WAGGLE_FAULT_FOLDER");
        ::setenv("WAGGLE_FAULT_FOLDER", "/nonexistent", 1);
        write_file_atomically(path, content, 0600);
        ::setenv("WAGGLE_FAULT_FOLDER", folder.c_str(), 1);
    }

    // The changes that a power cut would undo now.
    std::set<std::string> unsynced() const {
        std::istringstream lines(read_file_if_exists(faults() / "journal", 1 << 20).value_or(""));
        std::set<std::string> open;
        for (std::string line; std::getline(lines, line);) {
            std::istringstream fields(line);
            std::string what;
            std::string first;
            std::string second;
            fields >> what >> first >> second;
            if (what == "change")
                open.insert(second);
            else if (what == "content")
                open.insert("content of " + first);
            else if (what == "synced")
                open.erase("content of " + first);
            else if (what == "moved" && open.erase("content of " + first) == 1)
                open.insert("content of " + second);
            else if (what == "folder")
                std::erase_if(open, [&](const std::string& entry) { return fs::path(entry).parent_path() == first; });
        }
        return open;
    }

    size_t entries() const {
        return static_cast<size_t>(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()));
    }

    TemporaryFolder folder_;
};

TEST_F(Fault, EveryChangeIsOnTheDiskWhenItsFunctionReturns) {
    const auto path = folder_.path();
    write_file_atomically(file(), "one", 0600);
    write_file_atomically(file(), "two", 0600);
    replace_link(path / "link", "one");
    replace_link(path / "link", "two");
    make_folders(path / "a" / "b");
    move_file(file(), path / "other");
    remove_file(path / "other");
    EXPECT_EQ(unsynced(), std::set<std::string>{});
    EXPECT_NE(read_file(faults() / "journal", 1 << 20).find("change"), std::string::npos);
}

TEST_F(Fault, DetectsMissingSyncs) {
    plan("* */file * never lose");
    write_file_atomically(file(), "one", 0600);
    EXPECT_EQ(unsynced().count("content of " + file().string()), 1);
    EXPECT_EQ(unsynced().count(file().string()), 1);
}

TEST_F(Fault, AFailedWriteKeepsTheOldContent) {
    write_without_faults(file(), "old");
    for (const char* moment : {"before", "written"}) {
        plan(std::string("* */file * ") + moment + " fail");
        EXPECT_THROW(write_file_atomically(file(), "new", 0600), SystemError) << moment;
        EXPECT_EQ(read_file(file(), 100), "old") << moment;
        EXPECT_EQ(entries(), 2U) << moment; // and the faults
    }
    write_file_atomically(file(), "new", 0600); // a plan applies only once
    EXPECT_EQ(read_file(file(), 100), "new");
}

TEST_F(Fault, ReportsAFailedSyncAfterTheRename) {
    write_without_faults(file(), "old");
    plan("* */file * changed fail");
    try {
        write_file_atomically(file(), "new", 0600);
        FAIL() << "did not throw";
    } catch (const SystemError& error) {
        EXPECT_EQ(error.error_number(), EIO);
    }
    EXPECT_EQ(read_file(file(), 100), "new");
    EXPECT_EQ(entries(), 2U);
}

TEST_F(Fault, TheNextPlanAppliesToTheNextStep) {
    plan("* */file * before fail");
    write_without_faults(faults() / "next", "* */file * written fail");
    EXPECT_THROW(write_file_atomically(file(), "one", 0600), SystemError);
    EXPECT_THROW(write_file_atomically(file(), "two", 0600), SystemError);
    write_file_atomically(file(), "three", 0600);
    EXPECT_EQ(read_file(file(), 100), "three");
}

TEST_F(Fault, FileSystemSyncsCanBeMadeToFail) {
    FaultPoint::has_tree(file());
    plan("* * * before fail");
    EXPECT_THROW(sync_file_system(folder_.path()), SystemError);
    const auto journal = [&] { return read_file(faults() / "journal", 1 << 20); };
    EXPECT_EQ(journal(), "tree\t" + file().string() + "\n");
    sync_file_system(folder_.path());
    EXPECT_EQ(journal(), "tree\t" + file().string() + "\ndisk\t" + folder_.path().string() + "\n");
}

TEST_F(Fault, IsChosenByPathAndState) {
    plan("* */file staged before fail");
    write_file_atomically(file(), R"({"state": "fetching"})", 0600);
    write_file_atomically(folder_.path() / "another", R"({"state": "staged"})", 0600);
    EXPECT_FALSE(fs::exists(faults() / "hit"));
    EXPECT_THROW(write_file_atomically(file(), R"({"state": "staged"})", 0600), SystemError);
    EXPECT_TRUE(fs::exists(faults() / "hit"));
}

TEST_F(Fault, KillsTheProcess) {
    plan("* */file * written kill");
    EXPECT_EXIT(write_file_atomically(file(), "new", 0600), testing::KilledBySignal(SIGKILL), "");
    EXPECT_FALSE(fs::exists(file()));
    remove_leftovers(folder_.path(), "other.");
    EXPECT_EQ(entries(), 2U) << "what the dead writer left, and the faults";
    remove_leftovers(folder_.path(), "file.");
    EXPECT_EQ(entries(), 1U);
}

TEST_F(Fault, WithoutItsFolderNothingHappens) {
    plan("* */file * before fail");
    ::setenv("WAGGLE_FAULT_FOLDER", "/nonexistent", 1);
    write_file_atomically(file(), "new", 0600);
    EXPECT_EQ(read_file(file(), 100), "new");
}

} // namespace
} // namespace waggle
