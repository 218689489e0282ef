/* SPDX-License-Identifier: MIT */
/*
 * One lock guards it all: vCPUs, and the thread that brings input, may come at once. The interrupt line is level: it is high while
 * something that IER asks for is there, and each change is told once.
 */
#include <devices/serial.h>
#include <linux/serial_reg.h>
#include <machine/error.h>
#include <machine/wire.h>

#define FIFO_DEPTH 16u
#define IER_BITS 0x0f
#define MCR_BITS 0x1f
#define LINE_EMPTY (UART_LSR_THRE | UART_LSR_TEMT)
#define MODEM_CONNECTED (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define IIR_FIFO 0xc0
#define IIR_TIMEOUT 0x0c /* input, less than the FIFO's threshold */

/**
 * Serial:
 * @divisor: low, high
 * @sending: bytes that the output did not take; empty nearly always
 * @empty_told: the driver knows that the transmitter is empty: no interrupt for it
 */
struct Serial {
    GMutex lock;
    ConsoleOutput output;
    gpointer output_user;
    SerialInterrupt interrupt;
    gpointer interrupt_user;
    ConsoleRoom room;
    gpointer room_user;

    guint8 ier;
    guint8 fcr;
    guint8 lcr;
    guint8 mcr;
    guint8 scratch;
    guint8 divisor[2];
    gboolean empty_told;
    gboolean level;
    char sending[FIFO_DEPTH];
    guint n_sending;
    ConsoleBuffer input;
};

/* --- interrupts --- */

/* Input that the driver may see: all of it comes once RTS is up; in loopback nothing comes but what it sends itself. */
static gboolean
input_visible(const Serial *serial)
{
    return serial->input.count && serial->mcr & (UART_MCR_RTS | UART_MCR_LOOP);
}

static guint8
pending_interrupt(const Serial *serial)
{
    if (serial->ier & UART_IER_RDI && input_visible(serial)) /* without a FIFO nothing waits for more, and nothing times out */
        return serial->fcr & UART_FCR_ENABLE_FIFO && serial->input.count < FIFO_DEPTH / 2 ? IIR_TIMEOUT : UART_IIR_RDI;
    if (serial->ier & UART_IER_THRI && !serial->n_sending && !serial->empty_told)
        return UART_IIR_THRI;
    return UART_IIR_NO_INT;
}

static void
set_line(Serial *serial, gboolean level)
{
    if (level == serial->level)
        return;
    serial->level = level;
    if (serial->interrupt)
        serial->interrupt(serial->interrupt_user, level);
}

static void
update_line(Serial *serial)
{
    set_line(serial, pending_interrupt(serial) != UART_IIR_NO_INT);
}

/* --- data --- */

static guint8
take_input(Serial *serial)
{
    guint8 byte = 0;

    if (input_visible(serial))
        console_buffer_get(&serial->input, &byte, 1);
    if (console_buffer_freed(&serial->input) && serial->room)
        serial->room(serial->room_user);
    return byte;
}

static void
send_byte(Serial *serial, guint8 byte)
{
    char character = (char)byte;

    if (serial->mcr & UART_MCR_LOOP)
        console_buffer_put(&serial->input, &byte, 1);
    else if (serial->n_sending || serial->output(serial->output_user, &character, 1) == 0) {
        /* a driver that sends more than the FIFO holds loses it, as on a line */
        if (serial->n_sending < FIFO_DEPTH)
            serial->sending[serial->n_sending++] = character;
    }
    serial->empty_told = FALSE;
}

static void
clear_fifos(Serial *serial, guint8 fcr)
{
    guint8 thrown_away[FIFO_DEPTH];

    if (fcr & UART_FCR_CLEAR_RCVR && input_visible(serial))
        console_buffer_get(&serial->input, thrown_away, sizeof thrown_away);
    if (fcr & UART_FCR_CLEAR_XMIT)
        serial->n_sending = 0;
    if (console_buffer_freed(&serial->input) && serial->room)
        serial->room(serial->room_user);
}

/* --- registers --- */

static gboolean
divisor_selected(const Serial *serial, guint64 offset)
{
    return offset <= UART_DLM && serial->lcr & UART_LCR_DLAB;
}

static guint8
read_identification(Serial *serial)
{
    guint8 cause = pending_interrupt(serial);

    if (cause == UART_IIR_THRI)
        serial->empty_told = TRUE;
    return cause | (serial->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFO : 0);
}

/* In loopback the outputs are wired to the inputs. */
static guint8
modem_status(const Serial *serial)
{
    if (!(serial->mcr & UART_MCR_LOOP))
        return MODEM_CONNECTED;
    return (guint8)((serial->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (serial->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
                    (serial->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (serial->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static guint8
read_register(Serial *serial, guint64 offset)
{
    if (divisor_selected(serial, offset))
        return serial->divisor[offset];
    switch (offset) {
    case UART_RX:
        return take_input(serial);
    case UART_IER:
        return serial->ier;
    case UART_IIR:
        return read_identification(serial);
    case UART_LCR:
        return serial->lcr;
    case UART_MCR:
        return serial->mcr;
    case UART_LSR:
        return (guint8)((serial->n_sending ? 0 : LINE_EMPTY) | (input_visible(serial) ? UART_LSR_DR : 0));
    case UART_MSR:
        return modem_status(serial);
    default:
        return serial->scratch;
    }
}

static void
write_register(Serial *serial, guint64 offset, guint8 value)
{
    if (divisor_selected(serial, offset)) {
        serial->divisor[offset] = value;
        return;
    }
    switch (offset) {
    case UART_TX:
        send_byte(serial, value);
        break;
    case UART_IER:
        /* an interrupt that is switched on finds the transmitter empty and says so, however often */
        if (value & ~serial->ier & UART_IER_THRI)
            serial->empty_told = FALSE;
        serial->ier = value & IER_BITS;
        break;
    case UART_FCR:
        serial->fcr = value;
        clear_fifos(serial, value);
        break;
    case UART_LCR:
        serial->lcr = value;
        break;
    case UART_MCR:
        serial->mcr = value & MCR_BITS;
        break;
    case UART_SCR:
        serial->scratch = value;
        break;
    default: /* line and modem status are read only */
        break;
    }
}

static guint64
serial_read(gpointer user, guint vcpu, guint64 offset, guint size)
{
    Serial *serial = user;

    (void)vcpu;
    (void)size;
    g_mutex_lock(&serial->lock);
    guint8 value = read_register(serial, offset);
    update_line(serial);
    g_mutex_unlock(&serial->lock);
    return value;
}

static void
serial_write(gpointer user, guint vcpu, guint64 offset, guint size, guint64 value)
{
    Serial *serial = user;

    (void)vcpu;
    (void)size;
    g_mutex_lock(&serial->lock);
    write_register(serial, offset, (guint8)value);
    update_line(serial);
    g_mutex_unlock(&serial->lock);
}

/* --- what its owner calls --- */

Serial *
serial_new(Bus *bus, guint64 base, ConsoleOutput output, gpointer user, GError **error)
{
    static const BusHandler handler = {.read = serial_read, .write = serial_write};
    Serial *serial = g_new0(Serial, 1);

    g_mutex_init(&serial->lock);
    serial->output = output;
    serial->output_user = user;
    if (!bus_register(bus, BUS_PIO, base, SERIAL_PORTS, "serial port", &handler, serial, error))
        g_clear_pointer(&serial, serial_free);
    return serial;
}

void
serial_free(Serial *serial)
{
    if (!serial)
        return;
    g_mutex_clear(&serial->lock);
    g_free(serial);
}

void
serial_set_interrupt(Serial *serial, SerialInterrupt interrupt, gpointer user)
{
    serial->interrupt = interrupt;
    serial->interrupt_user = user;
}

void
serial_set_room(Serial *serial, ConsoleRoom room, gpointer user)
{
    serial->room = room;
    serial->room_user = user;
}

gsize
serial_receive(Serial *serial, const guint8 *bytes, gsize n_bytes)
{
    g_mutex_lock(&serial->lock);
    gsize taken = console_buffer_put(&serial->input, bytes, n_bytes);
    update_line(serial);
    g_mutex_unlock(&serial->lock);
    return taken;
}

void
serial_output_ready(Serial *serial)
{
    g_mutex_lock(&serial->lock);
    gsize taken = serial->n_sending ? serial->output(serial->output_user, serial->sending, serial->n_sending) : 0;
    g_assert(taken <= serial->n_sending);
    serial->n_sending -= (guint)taken;
    memmove(serial->sending, serial->sending + taken, serial->n_sending);
    update_line(serial);
    g_mutex_unlock(&serial->lock);
}

/* --- saved state --- */

#define SAVED_BYTES (5 + 2 + 1 + 2 + FIFO_DEPTH + CONSOLE_BUFFER_SAVED_BYTES)

static gboolean
save(gpointer user, GByteArray *out, GError **error G_GNUC_UNUSED)
{
    Serial *serial = user;

    g_mutex_lock(&serial->lock); /* input comes while the machine is paused, too */
    wire_put_u8(out, serial->ier);
    wire_put_u8(out, serial->fcr);
    wire_put_u8(out, serial->lcr);
    wire_put_u8(out, serial->mcr);
    wire_put_u8(out, serial->scratch);
    wire_put_bytes(out, serial->divisor, sizeof serial->divisor);
    wire_put_u8(out, serial->empty_told ? 1 : 0);
    wire_put_u16(out, (guint16)serial->n_sending);
    for (guint i = 0; i < FIFO_DEPTH; i++)
        wire_put_u8(out, i < serial->n_sending ? (guint8)serial->sending[i] : 0);
    console_buffer_save(&serial->input, out);
    g_mutex_unlock(&serial->lock);
    return TRUE;
}

/* A line that is high makes a new edge: one interrupt too many at worst. */
static gboolean
load(gpointer user, guint32 version G_GNUC_UNUSED, const guint8 *bytes, gsize size, GError **error)
{
    Serial *serial = user;
    WireReader reader = {.bytes = bytes, .left = size};
    Serial loaded = {.input.refused = serial->input.refused};

    loaded.ier = wire_get_u8(&reader) & IER_BITS;
    loaded.fcr = wire_get_u8(&reader);
    loaded.lcr = wire_get_u8(&reader);
    loaded.mcr = wire_get_u8(&reader) & MCR_BITS;
    loaded.scratch = wire_get_u8(&reader);
    wire_get_bytes(&reader, loaded.divisor, sizeof loaded.divisor);
    loaded.empty_told = wire_get_u8(&reader) != 0;
    loaded.n_sending = wire_get_u16(&reader);
    wire_get_bytes(&reader, loaded.sending, sizeof loaded.sending);
    if (!console_buffer_load(&loaded.input, &reader) || !wire_reader_finish(&reader) || loaded.n_sending > FIFO_DEPTH) {
        g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_INVALID, "the serial port's state cannot be");
        return FALSE;
    }
    g_mutex_lock(&serial->lock);
    serial->ier = loaded.ier;
    serial->fcr = loaded.fcr;
    serial->lcr = loaded.lcr;
    serial->mcr = loaded.mcr;
    serial->scratch = loaded.scratch;
    memcpy(serial->divisor, loaded.divisor, sizeof loaded.divisor);
    serial->empty_told = loaded.empty_told;
    serial->n_sending = loaded.n_sending;
    memcpy(serial->sending, loaded.sending, sizeof loaded.sending);
    serial->input = loaded.input;
    set_line(serial, FALSE);
    update_line(serial);
    g_mutex_unlock(&serial->lock);
    serial_output_ready(serial);
    return TRUE;
}

const SectionClass serial_section = {.name = "serial", .version = 1, .max_bytes = SAVED_BYTES, .save = save, .load = load};
