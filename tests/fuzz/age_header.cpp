// An age file from an untrusted source: its header has only one form, and only the right one opens.

#include "shared/age/age_header.hpp"

#include "shared/age/age.hpp"
#include "shared/age/text_codes.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <vector>

namespace fuzz = waggle::fuzz;
namespace age = waggle::age;

namespace {

// Keys for these tests only. The seeds are encrypted to them.
constexpr std::string_view age_key = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
constexpr std::string_view ssh_key = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                     "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
                                     "QyNTUxOQAAACAD5oTMHw6pFiYr2r4FzqSSAyuVdYMeHTXWvH15ZRynSwAAAIi5EicBuRIn\n"
                                     "AQAAAAtzc2gtZWQyNTUxOQAAACAD5oTMHw6pFiYr2r4FzqSSAyuVdYMeHTXWvH15ZRynSw\n"
                                     "AAAEA6D28w57tzZ0tjSCJdkccrwEbohKEi2DvQdo8ZgXT3UwPmhMwfDqkWJivavgXOpJID\n"
                                     "K5V1gx4dNda8fXllHKdLAAAAAAECAwQF\n"
                                     "-----END OPENSSH PRIVATE KEY-----\n";

const std::vector<age::Identity>& identities() {
    static const std::vector<age::Identity> both = [] {
        std::vector<age::Identity> made;
        made.push_back(age::Identity::parse(age_key));
        made.emplace_back(waggle::ssh::PrivateKey::parse(ssh_key, "the fuzzer's key"));
        return made;
    }();
    return both;
}

} // namespace

FUZZ_TARGET(age_header) {
    if (const auto header = age::parse_age_header(input, age::max_header_bytes)) {
        std::string stanzas;
        for (const auto& stanza : header->stanzas) {
            std::string words;
            for (const auto word : stanza.words)
                words.append(words.empty() ? "" : " ").append(word);
            stanzas += age::format_stanza(words, stanza.body);
        }
        auto again = age::format_unfinished_header(stanzas);
        fuzz::require(again == header->authentic);
        again += " " + age::to_raw_base64(header->mac) + "\n";
        fuzz::require(again + std::string(header->payload) == input);
    }
    fuzz::accepted([&] { age::open(input, identities()); });
}
