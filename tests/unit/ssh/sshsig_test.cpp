#include "shared/base/hash.hpp"
#include "shared/ssh/sshsig.hpp"
#include "shared/ssh/wire.hpp"
#include "tests/unit/ssh/ssh_keygen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::ssh {
namespace {

using testing::HasSubstr;

constexpr std::string_view name_space = "waggle-deployment";

std::string signature_complaint(std::string_view blob, std::string_view for_name_space, std::string_view message) {
    try {
        sshsig_verify(blob, for_name_space, message);
        return "";
    } catch (const BadSignature& error) {
        return error.what();
    }
}

// Assembles an SSHSIG from parts, so that a test can change one. The signature is always made correctly.
struct SignatureParts {
    std::string magic = "SSHSIG";
    std::uint32_t version = 1;
    std::string reserved;
    std::string hash = "sha512";
    std::string type = "ssh-ed25519";
    std::string after_signature;

    std::string blob(const PrivateKey& key, std::string_view message) const {
        std::string to_sign = "SSHSIG";
        put_string(to_sign, name_space);
        put_string(to_sign, reserved);
        put_string(to_sign, hash);
        put_string(to_sign, as_text(sha512(message)));
        std::string signature;
        put_string(signature, type);
        put_string(signature, as_text(key.sign(to_sign)));
        signature += after_signature;

        std::string out = magic;
        put_u32(out, version);
        put_string(out, key.public_key().wire());
        put_string(out, name_space);
        put_string(out, reserved);
        put_string(out, hash);
        put_string(out, signature);
        return out;
    }
};

TEST(Sshsig, MatchesSshKeygenByteForByte) {
    TemporaryFolder folder;
    auto path = make_key(folder, "ed25519");
    auto key = PrivateKey::load(path);
    for (const std::string& message :
         {std::string(), std::string("dance\n"), std::string("\0\xff binary", 9), std::string(100'000, 'x')}) {
        auto file = folder.path() / "message";
        write_file_atomically(file, message, 0600);
        remove_file(file.string() + ".sig");
        ssh_keygen({"-q", "-Y", "sign", "-f", path, "-n", std::string(name_space), file});
        EXPECT_EQ(sshsig_armor(sshsig_sign(key, name_space, message)), read_file(file.string() + ".sig", 4096));
    }
}

TEST(Sshsig, IsAcceptedBySshKeygen) {
    TemporaryFolder folder;
    auto key = PrivateKey::generate();
    auto signature = folder.path() / "signature";
    auto signers = folder.path() / "signers";
    write_file_atomically(signature, sshsig_armor(sshsig_sign(key, name_space, "dance")), 0600);
    write_file_atomically(signers, "queen " + key.public_key().to_string() + "\n", 0600);
    auto verify = [&](const std::string& for_name_space, const std::string& message) {
        return ssh_keygen_accepts(
            {"-q", "-Y", "verify", "-f", signers, "-I", "queen", "-n", for_name_space, "-s", signature}, message);
    };
    EXPECT_TRUE(verify(std::string(name_space), "dance"));
    EXPECT_FALSE(verify(std::string(name_space), "Dance"));
    EXPECT_FALSE(verify("waggle-session", "dance"));
}

TEST(Sshsig, VerifyReturnsTheSigningKey) {
    auto key = PrivateKey::generate();
    EXPECT_EQ(sshsig_verify(sshsig_sign(key, name_space, "dance"), name_space, "dance"), key.public_key());
    EXPECT_EQ(signature_complaint(SignatureParts{}.blob(key, "dance"), name_space, "dance"), "");
}

TEST(Sshsig, IsRefusedForAnotherMessageOrPurpose) {
    auto blob = sshsig_sign(PrivateKey::generate(), name_space, "dance");
    EXPECT_THAT(signature_complaint(blob, name_space, "Dance"), HasSubstr("does not match"));
    EXPECT_THAT(signature_complaint(blob, name_space, ""), HasSubstr("does not match"));
    EXPECT_THAT(signature_complaint(blob, "waggle-session", "dance"), HasSubstr("another purpose"));
    EXPECT_THAT(signature_complaint(blob, "", "dance"), HasSubstr("another purpose"));
}

TEST(Sshsig, IsRefusedInAnyOtherForm) {
    auto key = PrivateKey::generate();
    auto changed = [&](auto change) {
        SignatureParts parts;
        change(parts);
        return signature_complaint(parts.blob(key, "dance"), name_space, "dance");
    };
    EXPECT_THAT(changed([](SignatureParts& p) { p.magic = "SSHSIX"; }), HasSubstr("not an SSH signature"));
    EXPECT_THAT(changed([](SignatureParts& p) { p.version = 2; }), HasSubstr("version 2"));
    EXPECT_THAT(changed([](SignatureParts& p) { p.reserved = "x"; }), HasSubstr("reserved"));
    EXPECT_THAT(changed([](SignatureParts& p) { p.hash = "sha256"; }), HasSubstr("another hash"));
    EXPECT_THAT(changed([](SignatureParts& p) { p.type = "ssh-rsa"; }), HasSubstr("type"));
    EXPECT_THAT(changed([](SignatureParts& p) { p.after_signature = "x"; }), HasSubstr("malformed"));
    EXPECT_THAT(signature_complaint(SignatureParts{}.blob(key, "dance") + "x", name_space, "dance"),
                HasSubstr("malformed"));
}

TEST(Sshsig, RefusesASignatureByAnotherKindOfKey) {
    TemporaryFolder folder;
    auto path = make_key(folder, "rsa");
    auto file = folder.path() / "message";
    write_file_atomically(file, "dance", 0600);
    ssh_keygen({"-q", "-Y", "sign", "-f", path, "-n", std::string(name_space), file});
    auto text = read_file(file.string() + ".sig", 16384);
    auto begin = text.find('\n') + 1;
    auto base64 = text.substr(begin, text.find("-----END") - begin);
    std::erase(base64, '\n');
    EXPECT_THAT(signature_complaint(as_text(from_base64(base64).value()), name_space, "dance"),
                HasSubstr("an RSA key"));
}

TEST(Sshsig, IsRefusedIfChangedOrTruncatedAnywhere) {
    auto blob = sshsig_sign(PrivateKey::generate(), name_space, "dance");
    for (size_t bit = 0; bit < blob.size() * 8; ++bit) {
        auto flipped = blob;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
        EXPECT_THROW(sshsig_verify(flipped, name_space, "dance"), BadSignature) << "bit " << bit;
    }
    for (size_t length = 0; length < blob.size(); ++length)
        EXPECT_THROW(sshsig_verify(std::string_view(blob).substr(0, length), name_space, "dance"), BadSignature)
            << length;
}

} // namespace
} // namespace waggle::ssh
