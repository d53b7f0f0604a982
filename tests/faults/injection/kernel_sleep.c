/* Before libfaketime: its clock_nanosleep takes an absolute time of the monotonic clock for one of the faked clock, and
   Python sleeps that way. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wanted, struct timespec *left) {
    int before = errno;
    int result = syscall(SYS_clock_nanosleep, clock, flags, wanted, left) == 0 ? 0 : errno;
    errno = before;
    return result;
}
