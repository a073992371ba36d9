// Tests against the age command line tool.

#include "shared/age/age.hpp"
#include "shared/base/file.hpp"
#include "shared/base/process.hpp"
#include "tests/unit/ssh/ssh_keygen.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace waggle::age {
namespace {

class AgeCommand : public testing::Test {
protected:
    // Runs a program; its standard output.
    static std::string output(std::vector<std::string> argv) {
        const Command command{.argv = std::move(argv), .extra_environment = {}};
        const auto result = run(command, {.deadline = deadline_in(std::chrono::seconds(30)), .on_stderr_line = {}});
        if (!result.status.success())
            throw Error(command.to_string() + ": " + result.status.to_string() + ": " + result.err_tail);
        return result.out;
    }

    std::string write(const std::string& name, std::string_view content) const {
        const auto path = folder_.path() / name;
        write_file_atomically(path, content, 0600);
        return path.string();
    }

    std::string first_line(const std::string& path) const {
        const auto text = read_file(path, 1 << 20);
        return text.substr(0, text.find('\n'));
    }

    TemporaryFolder folder_;
    std::vector<std::uint8_t> plaintext_ = [] {
        std::vector<std::uint8_t> bytes(200'000);
        fill_random(bytes);
        return bytes;
    }();
};

TEST_F(AgeCommand, OpensAFileSealedForAnSshKey) {
    const auto key = ssh::make_key(folder_, "ed25519");
    const std::array recipients{Recipient::parse(first_line(key.string() + ".pub")), Identity::generate().recipient()};
    const auto file = write("secret.age", as_text(seal(plaintext_, recipients)));
    EXPECT_EQ(output({"age", "-d", "-i", key.string(), file}), as_text(plaintext_));
}

TEST_F(AgeCommand, OpensAFileSealedForAnAgeKey) {
    const auto key = (folder_.path() / "key").string();
    output({"age-keygen", "-o", key});
    const std::array recipients{Recipient::parse(output({"age-keygen", "-y", key}).substr(0, 62))};
    const auto file = write("secret.age", as_text(seal(plaintext_, recipients)));
    EXPECT_EQ(output({"age", "-d", "-i", key, file}), as_text(plaintext_));
}

TEST_F(AgeCommand, SealsAFileThatWeCanOpen) {
    const auto key = ssh::make_key(folder_, "ed25519");
    const auto age_key = (folder_.path() / "key").string();
    output({"age-keygen", "-o", age_key});
    const auto age_text = read_file(age_key, 4096);
    const auto at = age_text.find("AGE-SECRET-KEY-1");
    std::vector<Identity> identities;
    identities.push_back(Identity::parse(age_text.substr(at, age_text.find('\n', at) - at)));
    identities.emplace_back(ssh::PrivateKey::load(key));
    const auto input = write("plain", as_text(plaintext_));
    const auto file = output({"age", "-r", first_line(key.string() + ".pub"), "-r",
                              output({"age-keygen", "-y", age_key}).substr(0, 62), input});
    for (const auto& identity : identities)
        EXPECT_TRUE(std::ranges::equal(open(file, {&identity, 1}), plaintext_));
}

} // namespace
} // namespace waggle::age
