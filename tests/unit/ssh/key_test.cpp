#include "shared/ssh/key.hpp"
#include "tests/unit/ssh/ssh_keygen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::ssh {
namespace {

using testing::HasSubstr;

// The error of `parse` for a line; "" if there is none.
std::string complaint(const std::string& line) {
    try {
        PublicKey::parse(line);
        return "";
    } catch (const BadKey& error) {
        return error.what();
    }
}

TEST(PublicKey, MatchesTheFormatOfSshKeygen) {
    TemporaryFolder folder;
    auto path = make_key(folder, "ed25519");
    auto line = read_file(path.string() + ".pub", 4096);
    auto key = PublicKey::parse(line);
    EXPECT_EQ(key.to_string() + " somebody@example\n", line);
    EXPECT_THAT(ssh_keygen({"-l", "-f", path}), HasSubstr(" " + key.fingerprint() + " "));
    EXPECT_EQ(PublicKey::from_wire(key.wire()), key);
}

TEST(PublicKey, NamesAnUnsupportedType) {
    TemporaryFolder folder;
    EXPECT_THAT(complaint(read_file(make_key(folder, "rsa").string() + ".pub", 4096)),
                HasSubstr("an RSA key (ssh-rsa)"));
    EXPECT_THAT(complaint(read_file(make_key(folder, "ecdsa").string() + ".pub", 4096)),
                HasSubstr("an ECDSA key (ecdsa-sha2-nistp256)"));
    EXPECT_THAT(complaint("sk-ssh-ed25519@openssh.com AAAAGnNr x"), HasSubstr("a hardware key (sk-ssh-ed25519"));

    auto ca = make_key(folder, "ed25519");
    ssh_keygen({"-q", "-s", ca, "-I", "id", "-n", "root", ca.string() + ".pub"});
    EXPECT_THAT(complaint(read_file(ca.string() + "-cert.pub", 4096)),
                HasSubstr("an SSH certificate (ssh-ed25519-cert-"));
}

TEST(PublicKey, RefusesALineThatIsNotExactlyOneKey) {
    auto good = PrivateKey::generate().public_key().to_string();
    EXPECT_EQ(complaint(good), "");
    EXPECT_EQ(complaint("  " + good + "\tcomment with blanks \r\n"), "");
    EXPECT_THAT(complaint(""), HasSubstr("empty"));
    EXPECT_THAT(complaint(" \n"), HasSubstr("empty"));
    EXPECT_THAT(complaint("command=\"/bin/true\" " + good), HasSubstr("options"));
    EXPECT_THAT(complaint("restrict " + good), HasSubstr("options"));
    EXPECT_THAT(complaint("hello world"), HasSubstr("not a public key"));
    EXPECT_THAT(complaint("ssh-ed25519"), HasSubstr("malformed"));
    EXPECT_THAT(complaint("ssh-ed25519 AAAA*"), HasSubstr("base64"));
    EXPECT_THAT(complaint(good.substr(0, good.size() - 4)), HasSubstr("malformed"));
    EXPECT_THAT(complaint(good + "AAAA"), HasSubstr("malformed"));
    EXPECT_THAT(complaint(good + "\n" + good), HasSubstr("more than one line"));
    // The type inside the blob is the one that counts.
    auto blob = from_base64(good.substr(good.find(' ') + 1)).value();
    blob[4] = 'x';
    EXPECT_THAT(complaint("ssh-ed25519 " + to_base64(blob)), HasSubstr("not an ssh-ed25519 key"));
}

TEST(PublicKey, VerifiesOnlyWhatItsPrivateKeySigned) {
    auto key = PrivateKey::generate();
    auto signature = key.sign("dance");
    EXPECT_TRUE(key.public_key().verify("dance", signature));
    EXPECT_FALSE(key.public_key().verify("Dance", signature));
    EXPECT_FALSE(PrivateKey::generate().public_key().verify("dance", signature));
    EXPECT_FALSE(key.public_key().verify("dance", std::span(signature).first(63)));
    EXPECT_FALSE(key.public_key().verify("dance", {}));
    for (size_t bit = 0; bit < signature.size() * 8; ++bit) {
        auto flipped = signature;
        flipped[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        EXPECT_FALSE(key.public_key().verify("dance", flipped)) << "bit " << bit;
    }
}

// RFC 8032, section 7.1, test 2.
TEST(PublicKey, VerifiesTheRfcsExample) {
    auto raw = from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").value();
    auto signature = from_hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                              "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
                         .value();
    PublicKey key(std::span<const std::uint8_t, 32>(raw.data(), 32));
    EXPECT_TRUE(key.verify("\x72", signature));
}

} // namespace
} // namespace waggle::ssh
