#pragma once

#include "shared/protocol/deployment.hpp"
#include "shared/protocol/json.hpp"

#include <string>
#include <string_view>

namespace waggle::protocol {

// A deployment with every optional part present.
Deployment sample_deployment();

// "/nix/store/<32 times this character>-<name>"
nix::StorePath store_path(char hash_character, std::string_view name);

// The message of the BadDocument that `call` throws; "" if nothing is thrown.
template <class Call>
std::string complaint(Call call) {
    try {
        call();
        return "";
    } catch (const BadDocument& error) {
        return error.what();
    }
}

} // namespace waggle::protocol
