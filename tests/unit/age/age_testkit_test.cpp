// The age test kit of the Community Cryptography Test Vectors, github.com/C2SP/CCTV, folder age/testdata.

#include "shared/age/age.hpp"
#include "shared/base/file.hpp"
#include "shared/base/hash.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace waggle::age {
namespace {

using Reason = CannotOpen::Reason;

constexpr size_t applicable_vectors = 67; // binary, for X25519, in the kit of November 2026
constexpr size_t max_vector_bytes = 64 << 20;

struct Vector {
    std::multimap<std::string, std::string> fields;
    std::string file;

    std::string field(const std::string& key) const {
        const auto found = fields.find(key);
        return found == fields.end() ? "" : found->second;
    }
};

std::string inflated(const std::string& bytes) {
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK)
        throw Error("inflateInit");
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    std::string out;
    std::string piece(1 << 20, '\0');
    int status = Z_OK;
    while (status == Z_OK && out.size() < max_vector_bytes) {
        stream.next_out = reinterpret_cast<Bytef*>(piece.data());
        stream.avail_out = static_cast<uInt>(piece.size());
        status = inflate(&stream, Z_NO_FLUSH);
        out.append(piece, 0, piece.size() - stream.avail_out);
    }
    inflateEnd(&stream);
    if (status != Z_STREAM_END)
        throw Error("the vector does not inflate");
    return out;
}

Vector read_vector(const std::filesystem::path& path) {
    const std::string text = read_file(path, max_vector_bytes);
    Vector vector;
    size_t at = 0;
    for (;;) {
        const size_t end = text.find('\n', at);
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        if (line.empty())
            break;
        const size_t colon = line.find(": ");
        vector.fields.emplace(line.substr(0, colon), line.substr(colon + 2));
    }
    vector.file = text.substr(at);
    if (vector.field("compressed") == "zlib")
        vector.file = inflated(vector.file);
    return vector;
}

// Not: passphrases (scrypt), armor, and keys that OpenSSL 3.0 has no primitives for.
bool applies(const Vector& vector) {
    const auto [begin, end] = vector.fields.equal_range("identity");
    const bool hybrid =
        std::any_of(begin, end, [](const auto& field) { return field.second.starts_with("AGE-SECRET-KEY-PQ-"); });
    return !vector.fields.contains("passphrase") && vector.field("armored") != "yes" && !hybrid;
}

std::string outcome(const Vector& vector) {
    std::vector<Identity> identities;
    const auto [begin, end] = vector.fields.equal_range("identity");
    for (auto it = begin; it != end; ++it)
        identities.push_back(Identity::parse(it->second));
    try {
        const auto plaintext = open(vector.file, identities);
        const auto digest = to_hex(sha256(as_text(plaintext)));
        return digest == vector.field("payload") ? "success" : "another payload";
    } catch (const CannotOpen& error) {
        switch (error.reason()) {
        case Reason::header: return "header failure";
        case Reason::no_match: return "no match";
        case Reason::header_mac: return "HMAC failure";
        case Reason::payload: return "payload failure";
        }
    }
    return "?";
}

TEST(AgeTestKit, EveryApplicableVectorHasTheExpectedOutcome) {
    const char* folder = std::getenv("WAGGLE_AGE_TESTKIT");
    if (folder == nullptr || *folder == '\0')
        GTEST_SKIP() << "WAGGLE_AGE_TESTKIT is not set. To run this test, get https://github.com/C2SP/CCTV and set it "
                        "to the folder age/testdata there (files such as `x25519`).";
    size_t run = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const Vector vector = read_vector(entry.path());
        if (!applies(vector))
            continue;
        ++run;
        EXPECT_EQ(outcome(vector), vector.field("expect")) << entry.path().filename() << " " << vector.field("comment");
    }
    EXPECT_GE(run, applicable_vectors) << "vectors in " << folder;
    std::cout << run << " vectors of the age test kit were run\n";
}

} // namespace
} // namespace waggle::age
