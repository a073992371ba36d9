#include "agent/secrets/bundle_files.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace waggle::agent {
namespace {

using testing::HasSubstr;

class Bundles : public testing::Test {
protected:
    std::string seal(const std::string& node, std::int64_t sequence, const ssh::PrivateKey& key,
                     const std::string& hive = "test") const {
        protocol::SecretBundle bundle{.hive = hive, .node = node, .sequence = sequence, .secrets = {}};
        bundle.secrets.resize(1);
        bundle.secrets[0].file.name = "one";
        bundle.secrets[0].file.path = "/run/keys/one";
        bundle.secrets[0].content = {'x'};
        const auto recipient = age::Recipient(key.public_key());
        const auto sealed = age::seal(protocol::to_plaintext(bundle), {&recipient, 1});
        return {sealed.begin(), sealed.end()};
    }
    BundleRef receive(const std::string& sent, const std::string& is_signed) {
        size_t position = 0;
        const auto next_piece = [&] {
            if (position == sent.size())
                throw net::ConnectionLost("nothing more");
            const auto piece = std::string_view(sent).substr(position, 7);
            position += piece.size();
            return piece;
        };
        return files.receive(id, 7, protocol::replace_by(is_signed), next_piece);
    }
    Unsealer unsealer() const {
        Unsealer made{.hive = "test", .node = "alpha", .identities = {}};
        made.identities.emplace_back(other_key);
        made.identities.emplace_back(node_key);
        return made;
    }
    void expect_refused(const BundleRef& ref, const char* why) {
        try {
            open_bundle(files.load(ref), ref, unsealer());
            ADD_FAILURE() << "it was opened";
        } catch (const BundleRefused& error) {
            EXPECT_THAT(error.what(), HasSubstr(why));
        }
    }

    TemporaryFolder state;
    BundleFiles files{state.path()};
    protocol::DeploymentId id{sha256("a deployment")};
    ssh::PrivateKey node_key = ssh::PrivateKey::generate();
    ssh::PrivateKey other_key = ssh::PrivateKey::generate();
};

TEST_F(Bundles, AreBoundToTheNameThatTheNodeHadAtTheUpload) {
    const auto sealed = seal("queen", 7, node_key);
    auto ref = receive(sealed, sealed);
    expect_refused(ref, "not for alpha");
    ref.hive = "test";
    ref.node = "queen";
    EXPECT_EQ(open_bundle(files.load(ref), ref, unsealer()).node, "queen");
}

TEST_F(Bundles, AreStoredSealedAndOpenedWithAnyKeyOfTheNode) {
    const auto sealed = seal("alpha", 7, node_key);
    const auto ref = receive(sealed, sealed);
    EXPECT_EQ(read_file(files.file_of(id), 100'000), sealed);
    EXPECT_EQ(open_bundle(files.load(ref), ref, unsealer()).secrets.at(0).file.name, "one");
}

TEST_F(Bundles, AreNotStoredIfTheyDifferFromTheSignedHash) {
    const auto sealed = seal("alpha", 7, node_key);
    auto changed = sealed;
    changed.back() = static_cast<char>(changed.back() ^ 1);
    EXPECT_THROW(receive(changed, sealed), NotActivated);
    EXPECT_THROW(receive(sealed + "x", sealed), NotActivated);
    EXPECT_FALSE(std::filesystem::exists(files.file_of(id)));
}

TEST_F(Bundles, AreRefusedIfChangedOrRemovedOnTheNode) {
    const auto sealed = seal("alpha", 7, node_key);
    const auto ref = receive(sealed, sealed);
    std::ofstream(files.file_of(id), std::ios::app) << "x";
    expect_refused(ref, "changed or replaced");
    std::filesystem::remove(files.file_of(id));
    expect_refused(ref, "are gone");
}

// Even if the recorded hash was changed to match.
TEST_F(Bundles, AreRefusedForAnotherNodeHiveSequenceOrKey) {
    const auto of_other_hive = seal("alpha", 7, node_key, "other");
    expect_refused(receive(of_other_hive, of_other_hive), "hive other");
    const auto of_other_node = seal("beta", 7, node_key);
    expect_refused(receive(of_other_node, of_other_node), "beta");
    const auto older = seal("alpha", 6, node_key);
    expect_refused(receive(older, older), "6");
    const auto for_other_key = seal("alpha", 7, ssh::PrivateKey::generate());
    const auto ref = receive(for_other_key, for_other_key);
    expect_refused(ref, "sealed for other keys, or damaged; `waggle upload-keys`");
}

TEST_F(Bundles, AreRemovedWhenNoLongerNeeded) {
    const auto sealed = seal("alpha", 7, node_key);
    receive(sealed, sealed);
    files.keep_only({id});
    EXPECT_TRUE(std::filesystem::exists(files.file_of(id)));
    files.keep_only({protocol::DeploymentId{sha256("another")}});
    EXPECT_FALSE(std::filesystem::exists(files.file_of(id)));
}

} // namespace
} // namespace waggle::agent
