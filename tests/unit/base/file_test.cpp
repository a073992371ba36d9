#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace waggle {
namespace {

namespace fs = std::filesystem;

size_t entries(const fs::path& folder) {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(WriteFileAtomically, ReplacesContentAndModeAndLeavesNoOtherFile) {
    TemporaryFolder folder;
    auto path = folder.path() / "state";
    write_file_atomically(path, "one", 0600);
    write_file_atomically(path, "two", 0640);
    EXPECT_EQ(read_file(path, 100), "two");
    struct stat info{};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0640U);
    EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(WriteFileAtomically, KeepsTheOldFileWhenItFails) {
    TemporaryFolder folder;
    auto path = folder.path() / "state";
    fs::create_directory(path); // a rename over a folder fails
    EXPECT_THROW(write_file_atomically(path, "one", 0600), SystemError);
    EXPECT_TRUE(fs::is_directory(path));
    EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(ReadFile, RefusesAFileAboveTheLimit) {
    TemporaryFolder folder;
    auto path = folder.path() / "long";
    write_file_atomically(path, std::string(11, 'x'), 0600);
    EXPECT_THROW(read_file(path, 10), Error);
    EXPECT_EQ(read_file(path, 11).size(), 11U);
}

TEST(ReadFile, NamesAMissingFile) {
    TemporaryFolder folder;
    EXPECT_FALSE(read_file_if_exists(folder.path() / "none", 10));
    try {
        read_file(folder.path() / "none", 10);
        FAIL();
    } catch (const SystemError& error) {
        EXPECT_NE(std::string(error.what()).find("/none: No such file"), std::string::npos) << error.what();
    }
}

TEST(RemoveFile, AcceptsAMissingFile) {
    TemporaryFolder folder;
    auto path = folder.path() / "file";
    write_file_atomically(path, "", 0600);
    remove_file(path);
    remove_file(path);
    EXPECT_FALSE(fs::exists(path));
}

TEST(TemporaryFolder, IsRemovedWithItsContent) {
    fs::path path;
    {
        TemporaryFolder folder;
        path = folder.path();
        fs::create_directories(path / "a" / "b");
        write_file_atomically(path / "a" / "b" / "c", "x", 0600);
    }
    EXPECT_FALSE(fs::exists(path));
}

} // namespace
} // namespace waggle
