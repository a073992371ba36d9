#include "agent/state/archive.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

class ArchiveTest : public testing::Test {
protected:
    // Archives a deployment that has ended.
    DeploymentRecord deployed(int number, std::optional<std::uint64_t> generation) {
        auto deployment = test_deployment(key_.public_key(), closure_);
        deployment.sequence = number;
        const auto document = protocol::sign(deployment, key_);
        DeploymentRecord record;
        record.id = document.id();
        record.toplevel = test_path('a', "system-" + std::to_string(number));
        record.outcome = generation ? protocol::Outcome::ok : protocol::Outcome::rolled_back;
        record.generation = generation;
        archive_.keep_document(record.id, document);
        archive_.keep_list(record.id, closure_.text);
        archive_.note(record);
        return record;
    }

    TemporaryFolder folder_;
    Archive archive_{folder_.path()};
    ssh::PrivateKey key_ = ssh::PrivateKey::generate();
    TestClosure closure_ = test_closure();
};

TEST_F(ArchiveTest, RemembersTheNewestFirst) {
    const auto first = deployed(1, 11);
    const auto second = deployed(2, std::nullopt);
    archive_.note(second); // once only
    const auto history = Archive(folder_.path()).history(10);
    ASSERT_EQ(history.size(), 2u);
    EXPECT_EQ(history[0].id, second.id);
    EXPECT_EQ(history[1].generation, 11u);
    EXPECT_EQ(archive_.history(1).size(), 1u);
}

TEST_F(ArchiveTest, FindsTheDeploymentOfAGeneration) {
    deployed(1, 11);
    const auto last = deployed(2, 12);
    const auto kept = archive_.find(11);
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->list, closure_.text);
    EXPECT_EQ(protocol::parse_deployment(kept->document.payload).sequence, 1);
    EXPECT_FALSE(archive_.find(10)) << "not made by a deployment";
    EXPECT_EQ(archive_.previous(last.toplevel), 11u);
    EXPECT_EQ(archive_.previous(test_path('a', "system-1")), 12u);
}

TEST_F(ArchiveTest, DeletesDeploymentsWithoutAGenerationAndTheOldest) {
    for (int number = 1; number <= static_cast<int>(Archive::kept_deployments) + 5; ++number)
        deployed(number, static_cast<std::uint64_t>(number));
    deployed(100, std::nullopt);
    deployed(101, 101);
    size_t folders = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "deployments"))
        folders += entry.is_directory() ? 1U : 0U;
    EXPECT_LE(folders, Archive::kept_deployments + 1);
    EXPECT_FALSE(archive_.find(1));
    EXPECT_TRUE(archive_.find(101));
}

TEST_F(ArchiveTest, StartsAgainWhenTheHistoryIsCorrupt) {
    write_file_atomically(folder_.path() / "history.json", "{", 0600);
    EXPECT_TRUE(archive_.history(10).empty());
    deployed(1, 11);
    EXPECT_EQ(archive_.history(10).size(), 1u);
}

} // namespace
} // namespace waggle::agent
