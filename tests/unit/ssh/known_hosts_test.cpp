#include "shared/ssh/known_hosts.hpp"
#include "tests/unit/ssh/ssh_keygen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::ssh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const PublicKey queen = PrivateKey::generate().public_key();
const PublicKey drone = PrivateKey::generate().public_key();

std::string line(const std::string& hosts, const PublicKey& key = queen) {
    return hosts + " " + key.to_string() + "\n";
}

TEST(KnownHosts, ListsAHostByNameAndByNameWithPort) {
    EXPECT_EQ(known_hosts_name("Alpha.Example", 22), "alpha.example");
    EXPECT_EQ(known_hosts_name("alpha", 2222), "[alpha]:2222");
    EXPECT_EQ(known_hosts_name("fe80::1", 2222), "[fe80::1]:2222");
}

TEST(KnownHosts, FindsAHost) {
    struct Case {
        const char* hosts;
        const char* host;
        std::uint16_t port;
        bool found;
    };
    const Case cases[] = {
        {"alpha", "alpha", 22, true},
        {"alpha", "ALPHA", 22, true},
        {"Alpha", "alpha", 22, true},
        {"alpha", "alph", 22, false},
        {"alpha", "alphab", 22, false},
        {"beta,alpha,10.83.1.2", "alpha", 22, true},
        {"beta,alpha,10.83.1.2", "10.83.1.2", 22, true},
        {"beta,alpha", "beta,alpha", 22, false},
        {"[alpha]:2222", "alpha", 2222, true},
        {"[alpha]:2222", "alpha", 22, false},
        {"[alpha]:2222", "alpha", 2223, false},
        {"alpha", "alpha", 2222, true}, // as ssh does where the port is not listed
        {"::1", "::1", 22, true},
        {"[::1]:2222", "::1", 2222, true},
        {"*", "alpha", 22, true},
        {"*.hive", "alpha.hive", 22, true},
        {"*.hive", "alpha.hive.example", 22, false},
        {"al*a", "alpha", 22, true},
        {"*a*p*a", "alpha", 22, true},
        {"alph?", "alpha", 22, true},
        {"alph?", "alph", 22, false},
        {"*,!alpha", "alpha", 22, false},
        {"!alpha,*", "alpha", 22, false},
        {"*,!alpha", "beta", 22, true},
        {"!alpha", "beta", 22, false},
        {",,alpha,", "alpha", 22, true},
    };
    for (const auto& c : cases)
        EXPECT_EQ(!find_known_host(line(c.hosts), c.host, c.port).keys.empty(), c.found)
            << c.hosts << " for " << c.host << " port " << c.port;
}

TEST(KnownHosts, FindsAllKeysOfAHostOnce) {
    auto text = line("alpha") + line("beta", drone) + line("alpha", drone) + line("alpha,gamma");
    EXPECT_THAT(find_known_host(text, "alpha", 22).keys, ElementsAre(queen, drone));
}

TEST(KnownHosts, PrefersTheLineWithThePort) {
    auto text = line("alpha", drone) + line("[alpha]:2222", queen);
    EXPECT_THAT(find_known_host(text, "alpha", 2222).keys, ElementsAre(queen));
    EXPECT_THAT(find_known_host(text, "alpha", 22).keys, ElementsAre(drone));
}

TEST(KnownHosts, ReadsHashedNamesOfSshKeygen) {
    TemporaryFolder folder;
    auto path = folder.path() / "known_hosts";
    write_file_atomically(path, line("alpha") + line("[beta]:2222", drone), 0600);
    ssh_keygen({"-q", "-H", "-f", path});
    auto text = read_file(path, 4096);
    ASSERT_EQ(text.find("alpha"), text.npos);
    EXPECT_THAT(find_known_host(text, "alpha", 22).keys, ElementsAre(queen));
    EXPECT_THAT(find_known_host(text, "Alpha", 22).keys, ElementsAre(queen));
    EXPECT_THAT(find_known_host(text, "beta", 2222).keys, ElementsAre(drone));
    EXPECT_THAT(find_known_host(text, "beta", 22).keys, IsEmpty());
    EXPECT_THAT(find_known_host(text, "gamma", 22).keys, IsEmpty());
}

TEST(KnownHosts, NeverPinsARevokedKey) {
    auto text = line("alpha") + "@revoked " + line("*") + line("alpha", drone);
    auto found = find_known_host(text, "alpha", 22);
    EXPECT_THAT(found.keys, ElementsAre(drone));
    EXPECT_THAT(found.revoked, ElementsAre(queen));

    // Revoked under one form of the name is revoked under the other.
    found = find_known_host(line("[alpha]:2222") + "@revoked " + line("alpha"), "alpha", 2222);
    EXPECT_THAT(found.keys, IsEmpty());
    EXPECT_THAT(found.revoked, ElementsAre(queen));

    found = find_known_host(line("alpha") + "@revoked " + line("beta"), "alpha", 22);
    EXPECT_THAT(found.keys, ElementsAre(queen));
    EXPECT_THAT(found.revoked, IsEmpty());
}

TEST(KnownHosts, NeverPinsACertificateAuthority) {
    EXPECT_THAT(find_known_host("@cert-authority " + line("*"), "alpha", 22).keys, IsEmpty());
    EXPECT_THAT(find_known_host("@something " + line("*"), "alpha", 22).keys, IsEmpty());
}

TEST(KnownHosts, NamesTheKeyTypesThatCannotBePins) {
    TemporaryFolder folder;
    auto rsa = read_file(make_key(folder, "rsa").string() + ".pub", 4096);
    auto found = find_known_host("alpha " + rsa + "alpha " + rsa + "beta ecdsa-sha2-nistp256 AAAA\n", "alpha", 22);
    EXPECT_THAT(found.keys, IsEmpty());
    EXPECT_THAT(found.other_types, ElementsAre("ssh-rsa"));
}

TEST(KnownHosts, SkipsWhatItCannotRead) {
    std::string text =
        "\n# alpha ssh-ed25519 AAAA\n   \t\nalpha\nalpha ssh-ed25519\nalpha ssh-ed25519 AAAA\nalpha hello\n"
        "alpha 1024 35 1234567\n|1|x|y ssh-ed25519 AAAA\n|1|\n|2|a|b ssh-ed25519 AAAA\n@revoked\n@revoked alpha\n";
    EXPECT_THAT(find_known_host(text, "alpha", 22).keys, IsEmpty());
    text += "\t alpha\t" + queen.to_string() + "  a comment \r\n" + line("alpha", drone);
    text.pop_back(); // the last line may lack its end
    EXPECT_THAT(find_known_host(text, "alpha", 22).keys, ElementsAre(queen, drone));
    EXPECT_THAT(find_known_host(text, "alpha", 22).other_types, IsEmpty());
}

TEST(KnownHosts, MatchesAPatternOfManyStarsInReasonableTime) {
    std::string stars, name(2000, 'a');
    for (int i = 0; i < 500; ++i)
        stars += "*a";
    EXPECT_THAT(find_known_host(line(stars + "b"), name, 22).keys, IsEmpty());
}

} // namespace
} // namespace waggle::ssh
