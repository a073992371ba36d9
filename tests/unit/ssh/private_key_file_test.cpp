#include "shared/ssh/key.hpp"
#include "shared/ssh/wire.hpp"
#include "tests/unit/ssh/ssh_keygen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace waggle::ssh {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view begin_mark = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
constexpr std::string_view end_mark = "\n-----END OPENSSH PRIVATE KEY-----\n";

std::string file_complaint(const std::string& text) {
    try {
        PrivateKey::parse(text, "FILE");
        return "";
    } catch (const BadKey& error) {
        return error.what();
    }
}

std::string complaint_of_file(const std::filesystem::path& path) {
    return file_complaint(read_file(path, 1 << 20));
}

std::string armor(std::string_view binary) {
    return std::string(begin_mark) + to_base64(binary) + std::string(end_mark);
}

// The parts of a key file, put together again after a test has changed one of them.
struct FileParts {
    std::string magic{"openssh-key-v1\0", 15};
    std::string cipher = "none";
    std::string derivation = "none";
    std::string derivation_options;
    std::uint32_t keys = 1;
    std::string public_blob;
    std::uint32_t check = 7;
    std::uint32_t check_again = 7;
    std::string type = "ssh-ed25519";
    std::string public_raw;
    std::string secret;
    std::string comment = "ab";
    std::string padding;
    std::string after;

    explicit FileParts(const PrivateKey& key = PrivateKey::generate()) {
        auto text = key.to_openssh("");
        auto base64 = text.substr(begin_mark.size(), text.size() - begin_mark.size() - end_mark.size());
        std::erase(base64, '\n');
        auto binary = from_base64(base64).value();
        WireReader outer(as_text(binary));
        outer.raw(magic.size());
        for (int i = 0; i < 3; ++i)
            outer.string();
        outer.u32();
        public_blob = outer.string();
        WireReader inner(outer.string());
        inner.raw(8);
        inner.string();
        public_raw = inner.string();
        secret = inner.string();
        for (char pad = 1; section().size() % 8 != 0; ++pad)
            padding.push_back(pad);
    }

    std::string section() const {
        std::string out;
        put_u32(out, check);
        put_u32(out, check_again);
        put_string(out, type);
        put_string(out, public_raw);
        put_string(out, secret);
        put_string(out, comment);
        return out + padding;
    }

    std::string text() const {
        std::string out = magic;
        put_string(out, cipher);
        put_string(out, derivation);
        put_string(out, derivation_options);
        put_u32(out, keys);
        put_string(out, public_blob);
        put_string(out, section());
        return armor(out + after);
    }
};

TEST(PrivateKeyFile, ReadsAKeyOfSshKeygen) {
    TemporaryFolder folder;
    auto path = make_key(folder, "ed25519");
    auto key = PrivateKey::load(path);
    EXPECT_EQ(key.public_key(), PublicKey::parse(read_file(path.string() + ".pub", 4096)));
    EXPECT_TRUE(key.public_key().verify("dance", key.sign("dance")));
}

TEST(PrivateKeyFile, ReadsCommentsOfAnyLength) {
    TemporaryFolder folder;
    for (size_t length = 0; length < 9; ++length) { // each length of the padding
        auto path = folder.path() / std::to_string(length);
        ssh_keygen({"-q", "-t", "ed25519", "-N", "", "-C", std::string(length, 'c'), "-f", path});
        EXPECT_EQ(complaint_of_file(path), "");
    }
}

TEST(PrivateKeyFile, IsReadableBySshKeygen) {
    TemporaryFolder folder;
    for (std::string comment : {"", "a", "root@alpha", "1234567", "12345678"}) {
        auto key = PrivateKey::generate();
        auto path = folder.path() / ("key-" + comment);
        write_file_atomically(path, key.to_openssh(comment), 0600);
        auto expected = key.public_key().to_string() + (comment.empty() ? "" : " " + comment) + "\n";
        EXPECT_EQ(ssh_keygen({"-y", "-f", path}), expected);
        EXPECT_EQ(PrivateKey::load(path).public_key(), key.public_key());
    }
}

TEST(PrivateKeyFile, WithCarriageReturnsIsRead) {
    std::string text;
    for (char c : PrivateKey::generate().to_openssh("x"))
        text += c == '\n' ? "\r\n" : std::string(1, c);
    EXPECT_EQ(file_complaint(text), "");
}

TEST(PrivateKeyFile, RefusesOtherKindsAndNamesThem) {
    TemporaryFolder folder;
    EXPECT_THAT(complaint_of_file(make_key(folder, "rsa")), HasSubstr("an RSA key"));
    EXPECT_THAT(complaint_of_file(make_key(folder, "ecdsa")), HasSubstr("an ECDSA key"));
    EXPECT_THAT(complaint_of_file(folder.path() / "rsa.pub"), HasSubstr("this is a public key"));

    auto pem = folder.path() / "pem";
    ssh_keygen({"-q", "-t", "rsa", "-b", "1024", "-m", "PEM", "-N", "", "-f", pem});
    EXPECT_THAT(complaint_of_file(pem), HasSubstr("PEM file (RSA PRIVATE KEY)"));
    auto pkcs8 = folder.path() / "pkcs8";
    ssh_keygen({"-q", "-t", "ecdsa", "-m", "PKCS8", "-N", "", "-f", pkcs8});
    EXPECT_THAT(complaint_of_file(pkcs8), HasSubstr("PEM file (PRIVATE KEY)"));
    auto locked_pkcs8 = folder.path() / "locked-pkcs8";
    ssh_keygen({"-q", "-t", "ecdsa", "-m", "PKCS8", "-N", "secret", "-f", locked_pkcs8});
    EXPECT_THAT(complaint_of_file(locked_pkcs8), HasSubstr("PEM file (ENCRYPTED PRIVATE KEY)"));

    EXPECT_THAT(file_complaint(""), HasSubstr("not an OpenSSH private key"));
    EXPECT_THAT(file_complaint("hello"), HasSubstr("not an OpenSSH private key"));
    EXPECT_THAT(file_complaint(std::string(1 << 17, 'x')), HasSubstr("longer than"));
}

TEST(PrivateKeyFile, RefusesAKeyWithAPassphrase) {
    TemporaryFolder folder;
    auto said = complaint_of_file(make_key(folder, "ed25519", "secret"));
    EXPECT_THAT(said, AllOf(StartsWith("FILE: "), HasSubstr("passphrase")));
    // An RSA key would be refused even without a passphrase, so the message names its type.
    EXPECT_THAT(complaint_of_file(make_key(folder, "rsa", "secret")),
                AllOf(HasSubstr("RSA"), Not(HasSubstr("passphrase"))));
}

// ssh-keygen cannot create hardware keys without the hardware. Only the public part decides, so it is sufficient.
TEST(PrivateKeyFile, RefusesHardwareKeysAndCertificates) {
    for (auto [type, said] : {std::pair{"sk-ssh-ed25519@openssh.com", "a hardware key"},
                              std::pair{"ssh-ed25519-cert-v01@openssh.com", "an SSH certificate"}}) {
        FileParts parts;
        parts.public_blob.clear();
        put_string(parts.public_blob, type);
        EXPECT_THAT(file_complaint(parts.text()), HasSubstr(said));
    }
}

TEST(PrivateKeyFile, RefusesInconsistentFiles) {
    FileParts other;
    struct Case {
        const char* name;
        void (*change)(FileParts&, const FileParts& other);
        const char* said; // "" for an accepted file
    };
    const Case cases[] = {
        {"nothing changed", [](FileParts&, const FileParts&) {}, ""},
        {"magic", [](FileParts& p, const FileParts&) { p.magic[0] = 'O'; }, "not an OpenSSH private key"},
        {"two keys", [](FileParts& p, const FileParts&) { p.keys = 2; }, "it holds 2"},
        {"no key", [](FileParts& p, const FileParts&) { p.keys = 0; }, "it holds 0"},
        {"cipher", [](FileParts& p, const FileParts&) { p.cipher = "aes256-ctr"; }, "passphrase"},
        {"derivation", [](FileParts& p, const FileParts&) { p.derivation = "bcrypt"; }, "passphrase"},
        {"derivation options", [](FileParts& p, const FileParts&) { p.derivation_options = "x"; }, "passphrase"},
        {"check numbers", [](FileParts& p, const FileParts&) { p.check_again = 8; }, "check numbers differ"},
        {"inner type", [](FileParts& p, const FileParts&) { p.type = "ssh-ed25518"; }, "type is not that"},
        {"outer public key", [](FileParts& p, const FileParts& o) { p.public_blob = o.public_blob; },
         "does not belong"},
        {"inner public key", [](FileParts& p, const FileParts& o) { p.public_raw = o.public_raw; }, "does not belong"},
        {"public key after the seed", [](FileParts& p, const FileParts& o) { p.secret.replace(32, 32, o.public_raw); },
         "does not belong"},
        {"seed", [](FileParts& p, const FileParts& o) { p.secret.replace(0, 32, o.secret, 0, 32); }, "does not belong"},
        {"seed too short", [](FileParts& p, const FileParts&) { p.secret.resize(63); }, "does not belong"},
        {"padding's content", [](FileParts& p, const FileParts&) { p.padding[1] = 9; }, "padding"},
        {"padding too short", [](FileParts& p, const FileParts&) { p.padding.pop_back(); }, "padding"},
        {"padding too long",
         [](FileParts& p, const FileParts&) {
             for (int i = 0; i < 8; ++i)
                 p.padding.push_back(static_cast<char>(p.padding.size() + 1));
         },
         "padding"},
        {"bytes after the end", [](FileParts& p, const FileParts&) { p.after = "x"; }, "bytes after its end"},
    };
    for (const auto& c : cases) {
        FileParts parts;
        c.change(parts, other);
        auto said = file_complaint(parts.text());
        if (*c.said == '\0')
            EXPECT_EQ(said, "") << c.name;
        else
            EXPECT_THAT(said, AllOf(StartsWith("FILE: "), HasSubstr(c.said))) << c.name;
    }
}

TEST(PrivateKeyFile, RefusesTextAroundTheKey) {
    auto good = PrivateKey::generate().to_openssh("x");
    EXPECT_EQ(file_complaint(good + "\n \n"), "");
    EXPECT_THAT(file_complaint(good + "more"), HasSubstr("something after"));
    EXPECT_THAT(file_complaint(good + good), HasSubstr("something after"));
    EXPECT_THAT(file_complaint("# comment\n" + good), HasSubstr("not an OpenSSH private key"));
}

TEST(PrivateKeyFile, IsRefusedIfTruncatedAnywhere) {
    auto good = PrivateKey::generate().to_openssh("somebody@example");
    auto needed = good.size() - 1; // without the last line feed it is still a whole file
    for (size_t length = 0; length < needed; ++length)
        EXPECT_THROW(PrivateKey::parse(good.substr(0, length), "FILE"), BadKey) << length;

    FileParts parts;
    auto text = parts.text();
    auto binary =
        from_base64(text.substr(begin_mark.size(), text.size() - begin_mark.size() - end_mark.size())).value();
    for (size_t length = 0; length < binary.size(); ++length)
        EXPECT_THROW(PrivateKey::parse(armor(as_text(std::span(binary).first(length))), "FILE"), BadKey) << length;
}

// Only the check numbers (as a pair) and the comment may change without making another key or none.
TEST(PrivateKeyFile, IsRefusedOrTheSameKeyAfterAnyByteChange) {
    auto key = PrivateKey::generate();
    auto text = FileParts(key).text();
    auto binary =
        from_base64(text.substr(begin_mark.size(), text.size() - begin_mark.size() - end_mark.size())).value();
    size_t accepted = 0;
    for (size_t at = 0; at < binary.size(); ++at)
        for (int value : {1, 0x80, 0xff}) {
            auto changed = binary;
            changed[at] ^= static_cast<std::uint8_t>(value);
            try {
                EXPECT_EQ(PrivateKey::parse(armor(as_text(changed)), "FILE").public_key(), key.public_key()) << at;
                ++accepted;
            } catch (const BadKey&) {
                continue;
            }
        }
    EXPECT_EQ(accepted, 2U * 3) << "the two letters of the comment, three changes each";
}

TEST(PrivateKeyFile, NamesAMissingOrUnreadableFile) {
    TemporaryFolder folder;
    auto load = [](const std::filesystem::path& path) -> std::string {
        try {
            PrivateKey::load(path);
            return "";
        } catch (const BadKey& error) {
            return error.what();
        }
    };
    auto missing = folder.path() / "none";
    EXPECT_THAT(load(missing), AllOf(HasSubstr(missing.string()), HasSubstr("No such file")));
    EXPECT_THAT(load(folder.path()), AllOf(HasSubstr(folder.path().string()), HasSubstr("Is a directory")));
    EXPECT_THAT(load("/dev/zero"), HasSubstr("longer than"));
}

} // namespace
} // namespace waggle::ssh
