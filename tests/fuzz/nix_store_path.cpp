#include "shared/nix/store_path.hpp"
#include "tests/fuzz/fuzz.hpp"

using waggle::nix::StorePath;

FUZZ_TARGET(nix_store_path) {
    waggle::fuzz::accepted([&] {
        const StorePath path = StorePath::parse(input);
        waggle::fuzz::require(path.hash_part().size() == 32);
        waggle::fuzz::require(path.absolute().find("/..") == std::string::npos);
        waggle::fuzz::require(StorePath::parse_absolute(path.absolute()) == path);
    });
}
