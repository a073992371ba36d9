#pragma once

#include "tests/unit/net/hostile_node.hpp"

#include <string>
#include <vector>

namespace waggle::hostile {

// Where in a session a node puts output that must not be shown, and which output.
enum class Place {
    facts,   // every text in the facts
    hello,   // a refusal instead of facts
    refusal, // good facts; a refusal of every request
    answer,  // good facts; every text in the answer to a request
    type,    // good facts; a message with an unknown type and an unknown field
    noise,   // good facts; then bytes that are not a message
};
enum class Payload {
    escapes, // terminal escapes, control and bidi characters, in valid JSON
    wide,    // the same, as long as a text may be
    raw,     // the same as raw bytes, and bytes that are not UTF-8
    huge,    // far longer than a text may be, in a message that is not too long
};

struct Way {
    std::string name; // "facts-escapes": the node's name
    Place place;
    Payload poison;
};
// Returns every place with every payload.
std::vector<Way> all_ways();

// Runs one session of a node that behaves in this way, to its end. Everything that it sends contains "owned-by-NAME".
void talk(net::HostileNode::Guest& guest, const Way& way);

} // namespace waggle::hostile
