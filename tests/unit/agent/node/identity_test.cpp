#include "agent/node/identity.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>
#include <thread>

namespace waggle::agent {
namespace {

TEST(Identity, IsLoadedFromItsFile) {
    const TemporaryFolder folder;
    const auto key = ssh::PrivateKey::generate();
    write_file_atomically(folder.path() / "key", key.to_openssh(""), 0600);
    const Interrupt interrupt;
    EXPECT_EQ(await_identity(folder.path() / "key", false, interrupt).public_key(), key.public_key());
}

TEST(Identity, IsGeneratedOnceIfConfigured) {
    const TemporaryFolder folder;
    const Interrupt interrupt;
    const auto file = folder.path() / "state" / "key";
    const auto made = await_identity(file, true, interrupt).public_key();
    EXPECT_EQ(await_identity(file, true, interrupt).public_key(), made);
    struct stat info{};
    ASSERT_EQ(::stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST(Identity, IsAwaitedIfMissing) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "key";
    const auto key = ssh::PrivateKey::generate();
    Interrupt interrupt;
    std::optional<ssh::PublicKey> loaded;
    std::jthread waiter([&] { loaded = await_identity(file, false, interrupt).public_key(); });
    write_file_atomically(file, key.to_openssh(""), 0600);
    waiter.join();
    EXPECT_EQ(loaded, key.public_key());
}

TEST(Identity, IsNeverReplacedIfUnreadable) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "key";
    write_file_atomically(file, "not a key", 0600);
    Interrupt interrupt;
    interrupt.request();
    EXPECT_THROW(await_identity(file, true, interrupt), Interrupted);
    EXPECT_EQ(read_file(file, 100), "not a key");
}

} // namespace
} // namespace waggle::agent
