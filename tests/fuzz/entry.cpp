// libFuzzer's entry point, of a program with one fuzzer.

#include "tests/fuzz/fuzz.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    waggle::fuzz::targets().at(0).try_input({reinterpret_cast<const char*>(data), size});
    return 0;
}
