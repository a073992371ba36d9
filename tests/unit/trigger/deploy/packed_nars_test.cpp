#include "shared/base/bytes.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/base/zstd_frame.hpp"
#include "tests/unit/trigger/nar_store.hpp"
#include "tests/unit/trigger/samples.hpp"
#include "trigger/deploy/packed_nars.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

namespace waggle::trigger {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr size_t kibibyte = 1024;

class CompressedOnce : public testing::Test {
protected:
    std::unique_ptr<PackedNars> make(PackedNarsLimits limits = {}) {
        return std::make_unique<PackedNars>([this] { return store.reader(); }, limits, folder.path());
    }
    PackedNars::Reader open(PackedNars& packed, char path, int level = 3) {
        return {packed, sample_path(path, "lib"), store.nar(path).size(), level};
    }
    // Reads to the end of the frame.
    static std::string rest(PackedNars::Reader& reader) {
        std::string frame;
        std::vector<std::byte> buffer(100'000);
        while (const size_t size = reader.read(buffer, deadline_in(10s)).value())
            frame += as_text(std::span<const std::byte>(buffer).first(size));
        return frame;
    }
    static std::string read_all(PackedNars& packed, char path, size_t nar_bytes) {
        PackedNars::Reader reader(packed, sample_path(path, "lib"), nar_bytes, 3);
        return rest(reader);
    }

    TemporaryFolder folder;
    NarStore store;
};

TEST_F(CompressedOnce, ForAllNodesAtTheLevelOfTheFirst) {
    const auto packed = make();
    auto first = open(*packed, '0', 9);
    auto second = open(*packed, '0', 1);
    const std::string frame = zstd_frame(store.nar('0'), 9);
    EXPECT_EQ(rest(first), frame);
    EXPECT_EQ(rest(second), frame);
    auto later = open(*packed, '0', 3);
    EXPECT_EQ(rest(later), frame);
    EXPECT_EQ(later.level(), 9);
    EXPECT_EQ(store.times_read('0'), 1);
}

TEST_F(CompressedOnce, NodesReadWhatIsProducedSoFar) {
    store.hold_after(600 * kibibyte);
    const auto packed = make();
    auto reader = open(*packed, '1');
    std::vector<std::byte> buffer(512 * kibibyte);
    const auto size = reader.read(buffer, deadline_in(10s));
    ASSERT_TRUE(size);
    EXPECT_GE(*size, 256 * kibibyte);
    while (reader.read(buffer, deadline_in(10ms))) // until there is no more
        ;
    store.let_continue();
    rest(reader);
}

TEST_F(CompressedOnce, ANodeThatLeavesDoesNotDisturbTheOthers) {
    store.hold_after(600 * kibibyte);
    const auto packed = make();
    auto stays = open(*packed, '1');
    {
        auto leaves = open(*packed, '1');
        std::vector<std::byte> buffer(1000);
        EXPECT_EQ(leaves.read(buffer, deadline_in(10s)), 1000u);
    }
    store.let_continue();
    EXPECT_EQ(rest(stays), zstd_frame(store.nar('1')));
    EXPECT_EQ(store.times_read('1'), 1);
}

TEST_F(CompressedOnce, ProducesNothingThatNoNodeReads) {
    store.hold_after(600 * kibibyte);
    const auto packed = make({.producers = 1});
    {
        auto leaves = open(*packed, '1');
        std::vector<std::byte> buffer(1000);
        leaves.read(buffer, deadline_in(10s));
        auto not_begun = open(*packed, '2');
    }
    store.let_continue();
    EXPECT_EQ(read_all(*packed, '0', store.nar('0').size()), zstd_frame(store.nar('0')));
    EXPECT_EQ(store.times_completed('1'), 0);
    EXPECT_EQ(store.times_read('2'), 0);
    EXPECT_EQ(read_all(*packed, '1', store.nar('1').size()), zstd_frame(store.nar('1')));
}

TEST_F(CompressedOnce, AFailureReachesAllNodesThatRead) {
    store.fail_after(600 * kibibyte);
    const auto packed = make();
    auto first = open(*packed, '1');
    auto second = open(*packed, '1');
    for (auto* reader : {&first, &second}) {
        try {
            rest(*reader);
            ADD_FAILURE() << "nothing was thrown";
        } catch (const Error& error) {
            EXPECT_STREQ(error.what(), "the path is gone");
        }
    }
    store.fail_after(SIZE_MAX);
    EXPECT_EQ(read_all(*packed, '1', store.nar('1').size()), zstd_frame(store.nar('1'))) << "a later node tries again";
}

TEST_F(CompressedOnce, APathWithAnotherSizeThanInTheDatabaseFails) {
    const auto packed = make();
    for (const int difference : {-1, 1}) {
        try {
            read_all(*packed, '0', store.nar('0').size() + static_cast<size_t>(difference));
            ADD_FAILURE() << "nothing was thrown";
        } catch (const Error& error) {
            EXPECT_THAT(error.what(), HasSubstr("repair"));
        }
    }
}

TEST_F(CompressedOnce, HoldsAtMostTheGivenSizeAndDropsWhatWasReadLongestAgo) {
    const auto packed = make({.disk_bytes = 2500 * kibibyte}); // two of the paths, which do not compress
    const auto read = [&](char path) {
        EXPECT_EQ(read_all(*packed, path, 1024 * kibibyte), zstd_frame(store.nar(path)));
    };
    read('1');
    read('2');
    read('1');
    read('3'); // displaces 2
    read('1');
    EXPECT_EQ(store.times_read('1'), 1);
    read('2');
    EXPECT_EQ(store.times_read('2'), 2);
}

TEST_F(CompressedOnce, ReportsAPathThatDoesNotFit) {
    const auto packed = make({.disk_bytes = 1500 * kibibyte});
    auto held = open(*packed, '1');
    rest(held);
    auto other = open(*packed, '2'); // fits, but not beside one that is being read
    EXPECT_THROW(rest(other), PackedNars::NotHeld);
    EXPECT_THROW(open(*packed, '2'), PackedNars::NotHeld) << "and is not tried again";
    const auto small = make({.disk_bytes = 1000 * kibibyte});
    EXPECT_THROW(open(*small, '1'), PackedNars::NotHeld) << "larger than all of it";
    EXPECT_EQ(store.times_read('1'), 1);
}

TEST_F(CompressedOnce, ReportsAFolderThatCannotBeUsed) {
    PackedNars packed([this] { return store.reader(); }, {}, folder.path() / "missing");
    EXPECT_THROW(open(packed, '0'), PackedNars::NotHeld);
}

// Limits the size of files, as a disk does that is nearly full.
class FileSizeLimit {
public:
    explicit FileSizeLimit(rlim_t bytes) {
        handler_ = std::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }

private:
    rlimit before_{};
    void (*handler_)(int) = nullptr;
};

TEST_F(CompressedOnce, ReportsAFullDisk) {
    const auto packed = make();
    const FileSizeLimit limit(600 * kibibyte);
    auto reader = open(*packed, '1');
    EXPECT_THROW(rest(reader), PackedNars::NotHeld);
}

TEST_F(CompressedOnce, LeavesNothingInTheFolder) {
    const auto packed = make();
    read_all(*packed, '1', store.nar('1').size());
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

} // namespace
} // namespace waggle::trigger
