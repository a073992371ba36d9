#include "shared/ssh/wire.hpp"

#include <gtest/gtest.h>

namespace waggle::ssh {
namespace {

TEST(Wire, ReadsWhatItWrote) {
    std::string bytes;
    put_u32(bytes, 0x01020304);
    put_string(bytes, "");
    put_string(bytes, "bee");
    EXPECT_EQ(bytes, std::string("\1\2\3\4\0\0\0\0\0\0\0\3bee", 15));

    WireReader reader(bytes);
    EXPECT_EQ(reader.u32(), 0x01020304U);
    EXPECT_EQ(reader.string(), "");
    EXPECT_EQ(reader.string(), "bee");
    EXPECT_NO_THROW(reader.end());
}

TEST(Wire, RefusesALengthBeyondTheInput) {
    EXPECT_THROW(WireReader(std::string_view("\xff\xff\xff\xff"
                                             "a",
                                             5))
                     .string(),
                 BadWire);
    EXPECT_THROW(WireReader(std::string_view("\0\0\0\2a", 5)).string(), BadWire);
    EXPECT_THROW(WireReader("abc").u32(), BadWire);
}

TEST(Wire, RefusesBytesAfterTheEnd) {
    WireReader reader("abcde");
    reader.u32();
    EXPECT_THROW(reader.end(), BadWire);
}

} // namespace
} // namespace waggle::ssh
