/* SPDX-License-Identifier: MIT */
/*
 * A 16550A without a line: what is sent is out at once, so the transmitter is always empty, and nothing is ever received.
 * Without interrupts: whoever prints polls. vCPUs may share it, so each access takes a lock.
 */
#include <devices/serial.h>

enum {
    REGISTER_DATA, /* THR; the divisor's low byte while DLAB is set */
    REGISTER_INTERRUPT_ENABLE,
    REGISTER_FIFO_CONTROL, /* read: interrupt identification */
    REGISTER_LINE_CONTROL,
    REGISTER_MODEM_CONTROL,
    REGISTER_LINE_STATUS,
    REGISTER_MODEM_STATUS,
    REGISTER_SCRATCH,
};

#define LINE_CONTROL_DLAB 0x80
#define LINE_STATUS_EMPTY 0x60      /* holding register and shifter */
#define MODEM_STATUS_CONNECTED 0xb0 /* carrier, data set ready, clear to send */
#define INTERRUPT_NONE 0x01
#define INTERRUPT_FIFO 0xc0
#define FIFO_CONTROL_ENABLE 0x01

struct Serial {
    GMutex lock;
    SerialOutput output;
    gpointer user;
    guint8 registers[SERIAL_PORTS];
    guint8 divisor[2];
};

static gboolean
divisor_selected(const Serial *serial, guint64 offset)
{
    return offset <= REGISTER_INTERRUPT_ENABLE && serial->registers[REGISTER_LINE_CONTROL] & LINE_CONTROL_DLAB;
}

static guint64
serial_read(gpointer user, guint vcpu, guint64 offset, guint size)
{
    Serial *serial = user;
    guint8 value;

    (void)vcpu;
    (void)size;
    g_mutex_lock(&serial->lock);
    if (divisor_selected(serial, offset))
        value = serial->divisor[offset];
    else if (offset == REGISTER_DATA)
        value = 0;
    else if (offset == REGISTER_FIFO_CONTROL)
        value = INTERRUPT_NONE | (serial->registers[offset] & FIFO_CONTROL_ENABLE ? INTERRUPT_FIFO : 0);
    else if (offset == REGISTER_LINE_STATUS)
        value = LINE_STATUS_EMPTY;
    else if (offset == REGISTER_MODEM_STATUS)
        value = MODEM_STATUS_CONNECTED;
    else
        value = serial->registers[offset];
    g_mutex_unlock(&serial->lock);
    return value;
}

static void
serial_write(gpointer user, guint vcpu, guint64 offset, guint size, guint64 value)
{
    Serial *serial = user;
    char byte = (char)value;

    (void)vcpu;
    (void)size;
    g_mutex_lock(&serial->lock);
    if (divisor_selected(serial, offset))
        serial->divisor[offset] = (guint8)value;
    else if (offset == REGISTER_DATA)
        serial->output(serial->user, &byte, 1);
    else
        serial->registers[offset] = (guint8)value;
    g_mutex_unlock(&serial->lock);
}

Serial *
serial_new(Bus *bus, guint64 base, SerialOutput output, gpointer user, GError **error)
{
    static const BusHandler handler = {.read = serial_read, .write = serial_write};
    Serial *serial = g_new0(Serial, 1);

    g_mutex_init(&serial->lock);
    serial->output = output;
    serial->user = user;
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
