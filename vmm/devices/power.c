/* SPDX-License-Identifier: MIT */
/* A register each with the bus; there is no state: each write ends the machine or does nothing. */
#include <devices/power.h>
#include <machine/platform.h>

#define POWER_PORTS (PLATFORM_RESET_PORT - PLATFORM_SLEEP_CONTROL_PORT + 1)
#define SLEEP_ENABLE 0x20u
#define SLEEP_TYPE(value) ((guint)(value) >> 2 & 7u)

#define KEYBOARD_DATA_PORT 0x60
#define KEYBOARD_COMMAND_PORT 0x64
#define KEYBOARD_PULSE_RESET 0xfe

static guint64
read_nothing(gpointer user, guint vcpu, guint64 offset, guint size)
{
    (void)user;
    (void)vcpu;
    (void)offset;
    (void)size;
    return 0;
}

static void
power_write(gpointer user, guint vcpu, guint64 offset, guint size, guint64 value)
{
    guint port = PLATFORM_SLEEP_CONTROL_PORT + (guint)offset;

    (void)vcpu;
    if (size != 1)
        return;
    if (port == PLATFORM_SLEEP_CONTROL_PORT && value & SLEEP_ENABLE && SLEEP_TYPE(value) == PLATFORM_SLEEP_TYPE_OFF)
        machine_shut_down(user, MACHINE_POWERED_OFF);
    if (port == PLATFORM_RESET_PORT && value == PLATFORM_RESET_VALUE)
        machine_shut_down(user, MACHINE_RESET);
}

static void
keyboard_command(gpointer user, guint vcpu, guint64 offset, guint size, guint64 value)
{
    (void)vcpu;
    (void)offset;
    if (size == 1 && value == KEYBOARD_PULSE_RESET)
        machine_shut_down(user, MACHINE_RESET);
}

gboolean
power_add(Machine *machine, GError **error)
{
    static const BusHandler power = {.read = read_nothing, .write = power_write};
    static const BusHandler data = {.read = read_nothing};
    static const BusHandler command = {.read = read_nothing, .write = keyboard_command};
    Bus *bus = machine_bus(machine);

    return bus_register(bus, BUS_PIO, PLATFORM_SLEEP_CONTROL_PORT, POWER_PORTS, "power", &power, machine, error) &&
           bus_register(bus, BUS_PIO, KEYBOARD_DATA_PORT, 1, "keyboard data", &data, machine, error) &&
           bus_register(bus, BUS_PIO, KEYBOARD_COMMAND_PORT, 1, "keyboard controller", &command, machine, error);
}
