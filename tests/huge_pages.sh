#!/usr/bin/env bash
# huge_pages.sh COMMAND…: runs a command whose memory comes in huge pages. In a virtual machine the first touch of a page
# is slow: compilers take a quarter less time with this, and Nix half.
set -euo pipefail

# It makes mmap ask for them: memory that a program manages itself, as Nix and g++ do.
library=${WAGGLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waggle}/huge_pages-$(sha256sum <"$0" | cut -c1-8).so
if [[ ! -e $library ]]; then
    mkdir -p "${library%/*}"
    partial=$(mktemp "$library.XXXXXX")
    cc -O2 -shared -fPIC -x c -o "$partial" - <<'C'
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void* mmap(void* address, size_t size, int protection, int flags, int file, off_t offset)
{
    void* memory = (void*)syscall(SYS_mmap, address, size, protection, flags, file, offset);
    if (memory != MAP_FAILED && (flags & MAP_ANONYMOUS) && (protection & PROT_WRITE) && size >= 1 << 20)
        madvise(memory, size, MADV_HUGEPAGE); /* a kernel without huge pages ignores this */
    return memory;
}

void* mmap64(void* address, size_t size, int protection, int flags, int file, off_t offset)
{
    return mmap(address, size, protection, flags, file, offset);
}
C
    chmod 755 "$partial"
    mv "$partial" "$library"
fi

# And malloc, which also returns nothing to the kernel that it will soon need again.
malloc=glibc.malloc
tunables=$malloc.hugetlb=1:$malloc.top_pad=16777216:$malloc.mmap_threshold=1073741824:$malloc.trim_threshold=1073741824
exec env LD_PRELOAD="$library" GLIBC_TUNABLES="$tunables" "$@"
