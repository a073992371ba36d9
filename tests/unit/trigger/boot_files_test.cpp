#include "shared/base/file.hpp"
#include "trigger/build/boot_files.hpp"

#include <gtest/gtest.h>

#include <string>

namespace waggle::trigger {
namespace {

namespace fs = std::filesystem;

class BootFiles : public testing::Test {
protected:
    fs::path store() const { return folder_.path() / "store"; }
    fs::path system() const { return store() / "system"; }

    // A file in the store, and TO as a link to it.
    void put(const std::string& file, size_t bytes, const fs::path& to) const {
        make_folders((store() / file).parent_path());
        write_file_atomically(store() / file, std::string(bytes, 'x'), 0444);
        make_folders(to.parent_path());
        fs::create_symlink(store() / file, to);
    }
    std::vector<protocol::BootFile> found() const { return find_boot_files(system(), store()); }

    TemporaryFolder folder_;
};

TEST_F(BootFiles, AreKernelAndInitrdByTheNamesThatBootLoadersGiveThem) {
    put("aaa-linux-6.6/bzImage", 10, system() / "kernel");
    put("bbb-initrd/initrd", 20, system() / "initrd");
    EXPECT_EQ(found(), (std::vector<protocol::BootFile>{{"aaa-linux-6.6-bzImage", 10}, {"bbb-initrd-initrd", 20}}));
}

TEST_F(BootFiles, OfSpecialisationsAreCountedOnce) {
    put("aaa-linux-6.6/bzImage", 10, system() / "kernel");
    put("bbb-initrd/initrd", 20, system() / "initrd");
    const auto special = system() / "specialisation/rescue";
    make_folders(special);
    fs::create_symlink(store() / "aaa-linux-6.6/bzImage", special / "kernel");
    put("ccc-initrd/initrd", 30, special / "initrd");
    EXPECT_EQ(found(), (std::vector<protocol::BootFile>{
                           {"aaa-linux-6.6-bzImage", 10}, {"bbb-initrd-initrd", 20}, {"ccc-initrd-initrd", 30}}));
}

TEST_F(BootFiles, WhatIsNotThereOrNotInTheStoreIsLeftOut) {
    make_folders(system());
    EXPECT_TRUE(found().empty()) << "a container has no kernel";
    write_file_atomically(folder_.path() / "elsewhere", "x", 0444);
    fs::create_symlink(folder_.path() / "elsewhere", system() / "kernel");
    put("bbb-initrd/initrd", 0, system() / "initrd");
    EXPECT_TRUE(found().empty());
}

TEST_F(BootFiles, AreNotMoreThanADocumentTakes) {
    for (size_t i = 0; i < protocol::max_boot_files + 5; ++i)
        put(std::to_string(i) + "-initrd/initrd", 1, system() / "specialisation" / std::to_string(i) / "initrd");
    EXPECT_EQ(found().size(), protocol::max_boot_files);
}

} // namespace
} // namespace waggle::trigger
