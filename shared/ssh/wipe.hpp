#pragma once

#include <openssl/crypto.h>

#include <cstddef>

namespace waggle::ssh {

// Overwrites a buffer at the end of the scope. The buffer (an array, string or vector) must not grow meanwhile, because
// growing leaves a copy behind.
template <class Buffer>
class Wipe {
public:
    explicit Wipe(Buffer& buffer) : buffer_(buffer) {}
    Wipe(const Wipe&) = delete;
    Wipe& operator=(const Wipe&) = delete;
    ~Wipe() { OPENSSL_cleanse(buffer_.data(), buffer_.size() * sizeof(*buffer_.data())); }

private:
    Buffer& buffer_;
};

} // namespace waggle::ssh
