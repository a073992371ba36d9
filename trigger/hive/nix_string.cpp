#include "trigger/hive/nix_string.hpp"

namespace waggle::trigger {

std::string nix_string(std::string_view text) {
    std::string literal = "\"";
    for (const char c : text) {
        switch (c) {
        case '"':
        case '\\':
        case '$': // "\$" is a plain dollar, so "${" never begins an interpolation
            literal += '\\';
            literal += c;
            break;
        case '\n': literal += "\\n"; break;
        case '\r': literal += "\\r"; break; // Nix would read a bare one as a newline
        case '\t': literal += "\\t"; break;
        default: literal += c;
        }
    }
    literal += '"';
    return literal;
}

} // namespace waggle::trigger
