#include "shared/base/file.hpp"
#include "shared/protocol/boot_files.hpp"

#include <gtest/gtest.h>

#include <string>

namespace waggle::protocol {
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
    std::vector<BootFile> found(DeviceTrees device_trees = DeviceTrees::left_out) const {
        return find_boot_files(system(), device_trees, store());
    }

    TemporaryFolder folder_;
};

TEST_F(BootFiles, AreKernelAndInitrdUnderTheirBootLoaderNames) {
    put("aaa-linux-6.6/bzImage", 10, system() / "kernel");
    put("bbb-initrd/initrd", 20, system() / "initrd");
    EXPECT_EQ(found(), (std::vector<BootFile>{{"aaa-linux-6.6-bzImage", 10}, {"bbb-initrd-initrd", 20}}));
}

TEST_F(BootFiles, IncludeThoseOfSpecialisationsOnce) {
    put("aaa-linux-6.6/bzImage", 10, system() / "kernel");
    put("bbb-initrd/initrd", 20, system() / "initrd");
    const auto special = system() / "specialisation/rescue";
    make_folders(special);
    fs::create_symlink(store() / "aaa-linux-6.6/bzImage", special / "kernel");
    put("ccc-initrd/initrd", 30, special / "initrd");
    EXPECT_EQ(found(), (std::vector<BootFile>{
                           {"aaa-linux-6.6-bzImage", 10}, {"bbb-initrd-initrd", 20}, {"ccc-initrd-initrd", 30}}));
}

TEST_F(BootFiles, IncludeDeviceTreesOnRequest) {
    put("aaa-linux-6.6/Image", 10, system() / "kernel");
    make_folders(store() / "ddd-device-trees/rockchip");
    for (const char* board : {"rk3399.dtb", "rockchip/rk3328.dtb"})
        write_file_atomically(store() / "ddd-device-trees" / board, std::string(5000, 'x'), 0444);
    fs::create_directory_symlink(store() / "ddd-device-trees", system() / "dtbs");
    EXPECT_EQ(found(), (std::vector<BootFile>{{"aaa-linux-6.6-Image", 10}}));
    EXPECT_EQ(found(DeviceTrees::included),
              (std::vector<BootFile>{{"aaa-linux-6.6-Image", 10}, {"ddd-device-trees", std::uint64_t{4} * 4096}}));
}

TEST_F(BootFiles, OmitMissingEmptyAndNonStoreFiles) {
    make_folders(system());
    EXPECT_TRUE(found().empty()) << "a container has no kernel";
    write_file_atomically(folder_.path() / "elsewhere", "x", 0444);
    fs::create_symlink(folder_.path() / "elsewhere", system() / "kernel");
    put("bbb-initrd/initrd", 0, system() / "initrd");
    EXPECT_TRUE(found().empty());
}

TEST_F(BootFiles, AreLimitedToWhatADocumentCanHold) {
    for (size_t i = 0; i < max_boot_files + 5; ++i)
        put(std::to_string(i) + "-initrd/initrd", 1, system() / "specialisation" / std::to_string(i) / "initrd");
    EXPECT_EQ(found().size(), max_boot_files);
}

} // namespace
} // namespace waggle::protocol
