#pragma once

#include "tests/unit/net/hostile_node.hpp"

#include <string>
#include <vector>

namespace waggle::hostile {

// Where in a session a node puts what nobody should see, and what that is.
enum class Place {
    facts,   // every text in the facts
    hello,   // a refusal instead of facts
    refusal, // good facts; a refusal of whatever is asked
    answer,  // good facts; every text in the answer to what is asked
    type,    // good facts; a message of a type, and with a field, that nobody knows
    noise,   // good facts; then what is no message at all
};
enum class Payload {
    escapes, // terminal escapes, control and bidi characters, in good JSON
    wide,    // the same, as long as a text may be
    raw,     // the same as raw bytes, and such that are not UTF-8
    huge,    // far longer than a text may be, in a message that is not too long
};

struct Way {
    std::string name; // "facts-escapes": the node's name
    Place place;
    Payload poison;
};
// Every place with every poison.
std::vector<Way> all_ways();

// One session of a node that behaves so, to its end. All that it says has "owned-by-NAME" in it.
void talk(net::HostileNode::Guest& guest, const Way& way);

} // namespace waggle::hostile
