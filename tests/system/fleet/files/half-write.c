// For LD_PRELOAD: of the fourth new file that the process writes, only the first half is written, and the process stays
// there until the power is cut.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t write(int fd, const void* bytes, size_t size) {
    static int count;
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, sizeof name - 1);
    name[length > 0 ? length : 0] = 0;
    if (strstr(name, ".waggle-new") && ++count == 4) {
        syscall(SYS_write, fd, bytes, size / 2);
        for (;;)
            pause();
    }
    return syscall(SYS_write, fd, bytes, size);
}
