/* SPDX-License-Identifier: MIT */
/* The serial port as a driver meets it: how it is recognised, when it interrupts, and that no byte is lost. */
#include <devices/serial.h>
#include <linux/serial_reg.h>
#include <machine/error.h>

#define PORT 0x3f8

typedef struct {
    Bus *bus;
    Serial *serial;
    GString *out;
    gsize room; /* bytes that the output takes yet */
    gboolean level;
    guint rises;
    guint freed;
} Fixture;

static gsize
output(gpointer user, const char *bytes, gsize n_bytes)
{
    Fixture *fixture = user;
    gsize taken = MIN(n_bytes, fixture->room);

    g_string_append_len(fixture->out, bytes, (gssize)taken);
    fixture->room -= taken;
    return taken;
}

static void
interrupt(gpointer user, gboolean level)
{
    Fixture *fixture = user;

    g_assert_cmpint(level, !=, fixture->level);
    fixture->level = level;
    fixture->rises += level ? 1 : 0;
}

static void
room(gpointer user)
{
    ((Fixture *)user)->freed++;
}

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    fixture->bus = bus_new();
    fixture->out = g_string_new(NULL);
    fixture->room = G_MAXSIZE;
    fixture->serial = serial_new(fixture->bus, PORT, output, fixture, &error);
    g_assert_no_error(error);
    serial_set_interrupt(fixture->serial, interrupt, fixture);
    serial_set_room(fixture->serial, room, fixture);
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    serial_free(fixture->serial);
    bus_free(fixture->bus);
    g_string_free(fixture->out, TRUE);
}

static guint8
in(Fixture *fixture, guint offset)
{
    guint64 value;

    g_assert_true(bus_read(fixture->bus, BUS_PIO, 0, PORT + offset, 1, &value));
    return (guint8)value;
}

static void
out(Fixture *fixture, guint offset, guint8 value)
{
    g_assert_true(bus_write(fixture->bus, BUS_PIO, 0, PORT + offset, 1, value));
}

/* The steps by which Linux's 8250 driver tells a 16550A from what came before and after it. */
static void
test_is_a_16550a(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    out(fixture, UART_IER, 0);
    g_assert_cmphex(in(fixture, UART_IER), ==, 0);
    out(fixture, UART_IER, 0x0f);
    g_assert_cmphex(in(fixture, UART_IER), ==, 0x0f);
    out(fixture, UART_IER, 0x40); /* an XScale's */
    g_assert_cmphex(in(fixture, UART_IER), ==, 0);
    out(fixture, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
    g_assert_cmphex(in(fixture, UART_MSR) & 0xf0, ==, UART_MSR_DCD | UART_MSR_CTS);
    out(fixture, UART_MCR, 0);
    out(fixture, UART_FCR, UART_FCR_ENABLE_FIFO);
    g_assert_cmphex(in(fixture, UART_IIR), ==, 0xc1);
    out(fixture, UART_FCR, 0);
    g_assert_cmphex(in(fixture, UART_IIR), ==, 0x01);
    out(fixture, UART_SCR, 0x5a);
    g_assert_cmphex(in(fixture, UART_SCR), ==, 0x5a);
    out(fixture, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
    out(fixture, UART_DLL, 0x34);
    out(fixture, UART_DLM, 0x12);
    g_assert_cmphex(in(fixture, UART_DLL) | in(fixture, UART_DLM) << 8, ==, 0x1234);
    out(fixture, UART_LCR, UART_LCR_WLEN8);
    g_assert_cmphex(in(fixture, UART_IER), ==, 0);
    g_assert_cmphex(in(fixture, UART_LSR), ==, UART_LSR_THRE | UART_LSR_TEMT);
    g_assert_cmpuint(fixture->out->len, ==, 0);
}

static void
test_transmit_interrupts(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_false(fixture->level);
    for (guint i = 0; i < 2; i++) { /* each time that it is switched on */
        out(fixture, UART_IER, UART_IER_THRI);
        g_assert_true(fixture->level);
        g_assert_cmphex(in(fixture, UART_IIR) & 0x0f, ==, UART_IIR_THRI);
        g_assert_false(fixture->level); /* having been told is enough */
        g_assert_cmphex(in(fixture, UART_IIR) & 0x0f, ==, UART_IIR_NO_INT);
        out(fixture, UART_IER, 0);
    }
    out(fixture, UART_IER, UART_IER_THRI);
    g_assert_cmphex(in(fixture, UART_IIR) & 0x0f, ==, UART_IIR_THRI);
    fixture->rises = 0;
    for (guint i = 0; i < 16; i++)
        out(fixture, UART_TX, (guint8)('a' + i));
    g_assert_cmpuint(fixture->rises, ==, 1); /* one for the lot */
    g_assert_cmpstr(fixture->out->str, ==, "abcdefghijklmnop");
    out(fixture, UART_IER, 0);
    g_assert_false(fixture->level);
}

static void
test_input_waits_for_the_driver(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_cmpuint(serial_receive(fixture->serial, (const guint8 *)"hello", 5), ==, 5);
    g_assert_false(in(fixture, UART_LSR) & UART_LSR_DR);
    out(fixture, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
    g_assert_cmphex(in(fixture, UART_RX), ==, 0);
    out(fixture, UART_IER, UART_IER_RDI);
    g_assert_false(fixture->level);
    out(fixture, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
    g_assert_true(fixture->level);
    g_assert_cmphex(in(fixture, UART_IIR) & 0x0f, ==, 0x0c);
    for (guint i = 0; i < 5; i++) {
        g_assert_true(in(fixture, UART_LSR) & UART_LSR_DR);
        g_assert_cmpuint(in(fixture, UART_RX), ==, (guint8) "hello"[i]);
    }
    g_assert_false(fixture->level);
    g_assert_false(in(fixture, UART_LSR) & UART_LSR_DR);
}

/* A driver for a chip without a FIFO knows four causes, in bits 1 and 2; all else reads as zero. */
static void
test_without_a_fifo(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    out(fixture, UART_FCR, 0);
    out(fixture, UART_MCR, UART_MCR_RTS);
    out(fixture, UART_IER, UART_IER_RDI | UART_IER_THRI);
    g_assert_cmphex(in(fixture, UART_IIR), ==, UART_IIR_THRI);
    g_assert_cmphex(in(fixture, UART_IIR), ==, UART_IIR_NO_INT);
    serial_receive(fixture->serial, (const guint8 *)"x", 1);
    g_assert_cmphex(in(fixture, UART_IIR), ==, UART_IIR_RDI);
    out(fixture, UART_FCR, UART_FCR_ENABLE_FIFO);
    g_assert_cmphex(in(fixture, UART_IIR), ==, 0xcc);
    out(fixture, UART_FCR, UART_FCR_TRIGGER_14); /* means nothing without bit 0 */
    g_assert_cmphex(in(fixture, UART_IIR), ==, UART_IIR_RDI);
}

static void
test_input_is_bounded(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    guint8 bytes[CONSOLE_BUFFER_BYTES + 10];

    for (guint i = 0; i < sizeof bytes; i++)
        bytes[i] = (guint8)i;
    out(fixture, UART_MCR, UART_MCR_RTS);
    out(fixture, UART_IER, UART_IER_RDI);
    g_assert_cmpuint(serial_receive(fixture->serial, bytes, sizeof bytes), ==, CONSOLE_BUFFER_BYTES);
    g_assert_cmpuint(serial_receive(fixture->serial, bytes + CONSOLE_BUFFER_BYTES, 10), ==, 0);
    g_assert_cmphex(in(fixture, UART_IIR) & 0x0f, ==, UART_IIR_RDI);
    for (guint i = 0; i < 10; i++)
        g_assert_cmpuint(in(fixture, UART_RX), ==, i);
    g_assert_cmpuint(fixture->freed, ==, 1);
    g_assert_cmpuint(serial_receive(fixture->serial, bytes + CONSOLE_BUFFER_BYTES, 10), ==, 10);
    for (guint i = 10; i < sizeof bytes; i++)
        g_assert_cmpuint(in(fixture, UART_RX), ==, (guint8)i);
    g_assert_false(fixture->level);
}

static void
test_output_that_stalls(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    fixture->room = 2;
    out(fixture, UART_IER, UART_IER_THRI);
    in(fixture, UART_IIR);
    for (guint i = 0; i < 5; i++)
        out(fixture, UART_TX, (guint8)('1' + i));
    g_assert_cmpstr(fixture->out->str, ==, "12");
    g_assert_false(fixture->level);
    g_assert_cmphex(in(fixture, UART_LSR), ==, 0);
    fixture->room = 1;
    serial_output_ready(fixture->serial);
    g_assert_false(fixture->level);
    fixture->room = G_MAXSIZE;
    serial_output_ready(fixture->serial);
    g_assert_cmpstr(fixture->out->str, ==, "12345");
    g_assert_true(fixture->level);
    g_assert_cmphex(in(fixture, UART_LSR), ==, UART_LSR_THRE | UART_LSR_TEMT);
}

static void
test_loopback(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    out(fixture, UART_MCR, UART_MCR_LOOP);
    out(fixture, UART_TX, 'z');
    g_assert_cmpint(in(fixture, UART_RX), ==, 'z');
    g_assert_cmpuint(fixture->out->len, ==, 0);
}

static void
test_saved_state(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    Fixture other = {0};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GByteArray) again = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    set_up(&other, NULL);
    fixture->room = 0;
    out(fixture, UART_MCR, UART_MCR_RTS);
    out(fixture, UART_IER, UART_IER_RDI | UART_IER_THRI);
    out(fixture, UART_TX, 'q');
    serial_receive(fixture->serial, (const guint8 *)"typed", 5);
    in(fixture, UART_RX);
    g_assert_true(serial_section.save(fixture->serial, bytes, &error));
    g_assert_cmpuint(bytes->len, ==, serial_section.max_bytes);
    for (guint size = 0; size < bytes->len; size++) {
        g_assert_false(serial_section.load(other.serial, 1, bytes->data, size, &error));
        g_assert_error(error, MACHINE_ERROR, MACHINE_ERROR_INVALID);
        g_clear_error(&error);
    }
    other.room = 0;
    g_assert_true(serial_section.load(other.serial, 1, bytes->data, bytes->len, &error));
    g_assert_true(serial_section.save(other.serial, again, &error));
    g_assert_cmpmem(again->data, again->len, bytes->data, bytes->len);
    g_assert_true(other.level);
    other.room = 9;
    serial_output_ready(other.serial);
    g_assert_cmpstr(other.out->str, ==, "q");
    g_assert_cmpint(in(&other, UART_RX), ==, 'y');
    for (guint i = 0; i < bytes->len; i++) { /* whatever it is, it is loaded or refused */
        bytes->data[i] ^= 0xff;
        if (serial_section.load(other.serial, 1, bytes->data, bytes->len, NULL))
            in(&other, UART_RX);
        bytes->data[i] ^= 0xff;
    }
    tear_down(&other, NULL);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Fixture *fixture, gconstpointer data);
    } tests[] = {{"/serial/linux-knows-it-as-a-16550a", test_is_a_16550a},
                 {"/serial/interrupts-when-the-transmitter-is-empty", test_transmit_interrupts},
                 {"/serial/input-waits-for-the-driver", test_input_waits_for_the_driver},
                 {"/serial/without-a-fifo-nothing-speaks-of-one", test_without_a_fifo},
                 {"/serial/input-is-bounded-and-asked-for-again", test_input_is_bounded},
                 {"/serial/output-that-stalls-loses-nothing", test_output_that_stalls},
                 {"/serial/loopback-stays-inside", test_loopback},
                 {"/serial/saved-state-comes-back-and-is-checked", test_saved_state}};

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
