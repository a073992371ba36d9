#include "shared/age/age.hpp"
#include "shared/age/crypto.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::age {
namespace {

using Reason = CannotOpen::Reason;
using testing::HasSubstr;

constexpr size_t chunk = 64 << 10;

std::string_view text(const Bytes& bytes) {
    return as_text(bytes);
}

Bytes some_bytes(size_t size) {
    Bytes bytes(size);
    for (size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
    return bytes;
}

std::optional<Reason> why_not(std::string_view file, std::span<const Identity> identities) {
    try {
        open(file, identities);
        return std::nullopt;
    } catch (const CannotOpen& error) {
        return error.reason();
    }
}

std::vector<Identity> both_kinds() {
    std::vector<Identity> identities;
    identities.push_back(Identity::generate());
    identities.emplace_back(ssh::PrivateKey::generate());
    return identities;
}

TEST(Age, OpensWhatItSealed) {
    for (const auto& identity : both_kinds()) {
        const std::array recipients{identity.recipient()};
        for (const size_t size : {size_t{0}, size_t{1}, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 5}) {
            const auto plaintext = some_bytes(size);
            const auto opened = open(text(seal(plaintext, recipients)), {&identity, 1});
            EXPECT_TRUE(std::ranges::equal(opened, plaintext)) << size;
        }
    }
}

TEST(Age, EveryRecipientAndNoOtherKeyOpensAFile) {
    std::vector<Identity> identities;
    std::vector<Recipient> recipients;
    for (int i = 0; i < 3; ++i)
        for (auto& identity : both_kinds()) {
            recipients.push_back(identity.recipient());
            identities.push_back(std::move(identity));
        }
    const auto plaintext = some_bytes(100);
    const auto file = seal(plaintext, recipients);
    for (const auto& identity : identities)
        EXPECT_TRUE(std::ranges::equal(open(text(file), {&identity, 1}), plaintext));
    EXPECT_EQ(why_not(text(file), both_kinds()), Reason::no_match);
    EXPECT_EQ(why_not(text(file), {}), Reason::no_match);
}

TEST(Age, TriesAllOfItsIdentities) {
    const auto identities = both_kinds();
    for (const auto& identity : identities) {
        const std::array recipients{identity.recipient()};
        EXPECT_NO_THROW(open(text(seal(some_bytes(5), recipients)), identities));
    }
}

TEST(Age, SealingTheSameContentTwiceGivesDifferentFiles) {
    const std::array recipients{Identity::generate().recipient()};
    EXPECT_NE(seal(some_bytes(5), recipients), seal(some_bytes(5), recipients));
}

TEST(Age, RefusesAFileWithAnyByteChanged) {
    const auto identities = both_kinds();
    const std::array recipients{identities[0].recipient(), identities[1].recipient()};
    const auto file = seal(some_bytes(40), recipients);
    for (size_t i = 0; i < file.size(); ++i) {
        auto changed = file;
        changed[i] ^= static_cast<std::uint8_t>(1 << i % 8);
        EXPECT_TRUE(why_not(text(changed), identities)) << "byte " << i;
    }
}

TEST(Age, RefusesATruncatedOrExtendedFile) {
    const auto identities = both_kinds();
    const std::array recipients{identities[1].recipient()};
    const auto file = seal(some_bytes(chunk + 3), recipients);
    for (size_t cut : {size_t{1}, size_t{3}, size_t{4}, size_t{18}, size_t{19}, size_t{20}, chunk, file.size()})
        EXPECT_TRUE(why_not(text(file).substr(0, file.size() - cut), identities)) << cut;
    EXPECT_EQ(why_not(std::string(text(file)) + "x", identities), Reason::payload);
}

TEST(Age, EveryFailureHasTheSameMessage) {
    const auto reason_text = [](Reason reason) { return std::string(CannotOpen(reason).what()); };
    EXPECT_EQ(reason_text(Reason::header), reason_text(Reason::payload));
    EXPECT_EQ(reason_text(Reason::no_match), reason_text(Reason::header_mac));
}

TEST(Age, RefusesAHeaderThatDoesNotEnd) {
    std::string file = "age-encryption.org/v1\n";
    while (file.size() <= max_header_bytes)
        file += "-> grease\n\n";
    EXPECT_EQ(why_not(file + "--- " + std::string(43, 'A') + "\n", both_kinds()), Reason::header);
}

TEST(Age, RefusesAMalformedStanzaOfAKnownType) {
    const auto identity = Identity(ssh::PrivateKey::generate());
    const std::array recipients{identity.recipient()};
    const std::string file(text(seal(some_bytes(5), recipients)));
    const auto replaced = [&](std::string_view old, std::string_view by) {
        auto changed = file;
        return changed.replace(changed.find(old), old.size(), by);
    };
    EXPECT_EQ(why_not(replaced("-> ssh-ed25519 ", "-> ssh-ed25519 more "), {&identity, 1}), Reason::header);
    EXPECT_EQ(why_not(replaced("-> ssh-ed25519 ", "-> ssh-ed25518 "), {&identity, 1}), Reason::no_match);
    EXPECT_EQ(why_not(replaced("-> ssh-ed25519 ", "-> ssh-ed25519  "), {&identity, 1}), Reason::header);
    EXPECT_EQ(why_not(replaced("-> ssh-ed25519 ", "->  ssh-ed25519 "), {&identity, 1}), Reason::header);
    EXPECT_EQ(why_not(replaced("\n", "\r\n"), {&identity, 1}), Reason::header);
}

TEST(Age, RefusesToSealForNoneOrTooManyRecipients) {
    EXPECT_THROW(seal(some_bytes(5), {}), Error);
    const std::vector<Recipient> many(max_recipients + 1, Identity::generate().recipient());
    EXPECT_THROW(seal(some_bytes(5), many), Error);
}

// From the documentation of age and from its own tests.
constexpr std::string_view public_text = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
constexpr std::string_view private_text = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

TEST(AgeKeys, ReadWhatTheyWrite) {
    EXPECT_EQ(Recipient::parse(public_text).to_string(), public_text);
    EXPECT_FALSE(Recipient::parse(public_text).is_ssh());
    const auto key = ssh::PrivateKey::generate().public_key();
    EXPECT_EQ(Recipient::parse(key.to_string() + " somebody@example"), Recipient(key));
    EXPECT_EQ(Recipient(key).to_string(), key.to_string());
    EXPECT_NO_THROW(Identity::parse(private_text));
}

TEST(AgeKeys, RefuseOtherKeysWithAReason) {
    const auto refusal = [](std::string_view text) -> std::string {
        try {
            Recipient::parse(text);
            return "";
        } catch (const BadAgeKey& error) {
            return error.what();
        }
    };
    EXPECT_THAT(refusal("ssh-rsa AAAAB3NzaC1yc2E"), HasSubstr("RSA"));
    EXPECT_THAT(refusal(private_text), AllOf(HasSubstr("private"), testing::Not(HasSubstr("GFPYY"))));
    EXPECT_THAT(refusal("alice"), HasSubstr("alice"));
    auto misspelt = std::string(public_text);
    misspelt[10] = misspelt[10] == 'q' ? 'p' : 'q';
    EXPECT_THAT(refusal(misspelt), HasSubstr("neither"));
    EXPECT_NE(refusal("AGE1QL3Z7HJY54PW3HYWW5AYYFG7ZQGVC7W3J2ELW8ZMRJ2KG5SFN9AQMCAC8P"), "");
    EXPECT_THROW(Identity::parse(public_text), BadAgeKey);
    EXPECT_THROW(Identity::parse("age-secret-key-1gfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpq4egaex"),
                 BadAgeKey);
}

TEST(AgeKeys, PointsWithoutAnX25519FormAreRefused) {
    Array32 one{};
    one[0] = 1; // y = 1, the neutral element
    EXPECT_THROW(Recipient(ssh::PublicKey(one)), BadAgeKey);
    Array32 large;
    large.fill(0xff); // y ≥ p
    EXPECT_THROW(Recipient(ssh::PublicKey(large)), BadAgeKey);
}

// RFC 7748, section 5.2, the first vector.
TEST(Crypto, X25519MatchesTheVectorOfRfc7748) {
    const auto scalar = *from_hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    const auto point = *from_hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    const auto shared = x25519(scalar, point);
    ASSERT_TRUE(shared);
    EXPECT_EQ(to_hex(*shared), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    EXPECT_FALSE(x25519(scalar, Array32{})); // a point of low order gives nothing
}

// RFC 5869, test cases 1 and 3 (no salt), the first 32 bytes.
TEST(Crypto, HkdfMatchesTheVectorsOfRfc5869) {
    const Bytes key(22, 0x0b);
    const auto salt = *from_hex("000102030405060708090a0b0c");
    const auto info = *from_hex("f0f1f2f3f4f5f6f7f8f9");
    EXPECT_EQ(to_hex(hkdf_sha256(key, salt, as_text(info))),
              "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    EXPECT_EQ(to_hex(hkdf_sha256(key, {}, "")), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

} // namespace
} // namespace waggle::age
