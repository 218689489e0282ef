/* SPDX-License-Identifier: MIT */
/* Preloaded by the tests: a kernel before 6.7, as far as PAGEMAP_SCAN goes: the ioctl is unknown. */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>

#define PAGEMAP_SCAN_NUMBER (('f' << 8) | 16)

int ioctl(int fd, unsigned long request, ...);

int
ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, void *) = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
    va_list arguments;

    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if ((request & 0xffff) == PAGEMAP_SCAN_NUMBER) {
        errno = ENOTTY;
        return -1;
    }
    return real(fd, request, argument);
}
