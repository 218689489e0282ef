/* SPDX-License-Identifier: MIT */
#include "fuzz_board.h"

#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_BYTES (UINT64_C(8) << 20)
#define DISK_BYTES 65536

BoardConfig
fuzz_board_config(void)
{
    static char path[32];
    static const BoardDisk disk = {.path = path, .serial = "fuzz"};

    if (!path[0]) {
        int fd = memfd_create("disk", MFD_CLOEXEC);
        g_assert_no_errno(fd);
        g_assert_no_errno(ftruncate(fd, DISK_BYTES));
        g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    return (BoardConfig){.memory_bytes = MEMORY_BYTES,
                         .vcpus = 2,
                         .stock = TRUE,
                         .disks = &disk,
                         .n_disks = 1,
                         .rng = TRUE,
                         .balloon = TRUE,
                         .virtio_console = TRUE};
}

Board *
fuzz_board_new(void)
{
    const BoardConfig config = fuzz_board_config();
    g_autoptr(GError) error = NULL;
    Board *board = board_new(&config, &error);

    if (!board)
        g_error("%s", error->message);
    return board;
}
