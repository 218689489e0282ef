/* SPDX-License-Identifier: MIT */
/*
 * Guests of a few instructions, booted as a stock kernel is: they find what the protocol promises, and how a guest ends itself ends the
 * machine.
 */
#include <board/board.h>
#include <machine/error.h>
#include <machine/platform.h>
#include <machine/tests/kernels.h>
#include <machine/vcpu.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define KERNEL_GPA (2 * MIB)

/* in 64-bit mode */
#define OUT(port, value) 0x66, 0xba, (port)&0xff, (port) >> 8, 0xb0, (value), 0xee
#define OUT_BOOT_PARAM(port, offset) 0x8a, 0x86, (offset)&0xff, (offset) >> 8, 0, 0, 0x66, 0xba, (port)&0xff, (port) >> 8, 0xee
#define FOR_EVER 0xeb, 0xfe

static void
collect(gpointer user, const char *bytes, gsize n_bytes)
{
    g_string_append_len(user, bytes, (gssize)n_bytes);
}

/* Takes the kernel. */
static void
run_kernel(GByteArray *kernel, const char *expected, MachineEnd end)
{
    g_autoptr(GString) output = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    BoardConfig config = {.memory_bytes = 16 * MIB,
                          .vcpus = 2,
                          .stock = TRUE,
                          .kernel = kernel->data,
                          .kernel_size = kernel->len,
                          .console = collect,
                          .console_user = output};
    g_autoptr(Board) board = board_new(&config, &error);

    g_assert_no_error(error);
    g_byte_array_unref(kernel);
    g_assert_true(board_start(board, &error));
    g_assert_true(machine_wait(board_machine(board), 30000));
    g_assert_cmpstr(machine_crash_reason(board_machine(board)), ==, NULL);
    g_assert_cmpint(machine_state(board_machine(board)), ==, MACHINE_SHUT_DOWN);
    g_assert_cmpint(machine_end(board_machine(board)), ==, end);
    machine_stop(board_machine(board));
    g_assert_cmpstr(output->str, ==, expected);
}

static void
test_bzimage_runs(void)
{
    static const guint8 code[] = {OUT(PLATFORM_COM1_PORT, 'b'), OUT_BOOT_PARAM(PLATFORM_COM1_PORT, 0x202),
                                  OUT(PLATFORM_SLEEP_CONTROL_PORT, PLATFORM_SLEEP_TYPE_OFF << 2 | 0x20), FOR_EVER};

    run_kernel(kernel_bzimage(code, sizeof code, KERNEL_GPA), "bH", MACHINE_POWERED_OFF);
}

static void
test_elf_runs(void)
{
    static const guint8 code[] = {OUT(PLATFORM_COM1_PORT, 'e'),
                                  OUT_BOOT_PARAM(PLATFORM_COM1_PORT, 0x203),
                                  OUT(PLATFORM_SLEEP_CONTROL_PORT, 0x20), /* another sleep state: nothing happens */
                                  OUT(PLATFORM_RESET_PORT, 0x41),         /* nor here */
                                  OUT(PLATFORM_RESET_PORT, PLATFORM_RESET_VALUE),
                                  FOR_EVER};

    run_kernel(kernel_elf(code, sizeof code, KERNEL_GPA, FALSE), "ed", MACHINE_RESET);
}

/* In 32-bit mode, where the same bytes mean the same. */
static void
test_pvh_runs(void)
{
    static const guint8 code[] = {OUT(PLATFORM_COM1_PORT, 'p'),
                                  0x8a,
                                  0x03,
                                  0xee, /* start_info's first byte, by ebx */
                                  OUT(0x64, 0xff),
                                  OUT(0x64, 0xfe),
                                  FOR_EVER};

    run_kernel(kernel_elf(code, sizeof code, KERNEL_GPA, TRUE), "px", MACHINE_RESET);
}

/* As Linux gets there: real mode, f000:fff0. */
static void
test_reset_vector_resets(void)
{
    static const guint8 code[] = {FOR_EVER};
    GByteArray *kernel = kernel_bzimage(code, sizeof code, KERNEL_GPA);
    BoardConfig config = {
        .memory_bytes = 16 * MIB, .vcpus = 1, .stock = TRUE, .kernel = kernel->data, .kernel_size = kernel->len};
    struct kvm_regs regs = {.rip = 0xfff0, .rflags = 2};
    struct kvm_sregs sregs;
    g_autoptr(GError) error = NULL;
    g_autoptr(Board) board = board_new(&config, &error);

    g_assert_no_error(error);
    g_byte_array_unref(kernel);
    g_assert_true(vcpu_get_regs(board_machine(board), 0, NULL, &sregs, &error));
    sregs.cr0 = 0x60000010;
    sregs.cr4 = sregs.efer = 0;
    sregs.cs = (struct kvm_segment){.base = 0xf0000, .limit = 0xffff, .selector = 0xf000, .type = 0xb, .present = 1, .s = 1};
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss =
        (struct kvm_segment){.limit = 0xffff, .type = 0x3, .present = 1, .s = 1};
    g_assert_true(vcpu_set_regs(board_machine(board), 0, &regs, &sregs, &error));
    g_assert_true(board_start(board, &error));
    g_assert_true(machine_wait(board_machine(board), 30000));
    g_assert_cmpstr(machine_crash_reason(board_machine(board)), ==, NULL);
    g_assert_cmpint(machine_end(board_machine(board)), ==, MACHINE_RESET);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stock/bzimage-finds-boot-params-and-powers-off", test_bzimage_runs);
    g_test_add_func("/stock/elf-finds-boot-params-and-resets", test_elf_runs);
    g_test_add_func("/stock/pvh-finds-start-info-and-resets-by-the-keyboard-controller", test_pvh_runs);
    g_test_add_func("/stock/reset-vector-resets", test_reset_vector_resets);
    return g_test_run();
}
