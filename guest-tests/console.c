/* SPDX-License-Identifier: MIT */
/*
 * Lines on the first serial port, an 8250 at 0x3f8. Few of them: under dirtylab on the build machines each byte costs 100
 * microseconds.
 */
#include "guest.h"

#define COM1_DATA 0x3f8
#define COM1_FIFO 0x3fa
#define COM1_LINE_STATUS 0x3fd
#define FIFO_ENABLE 1
#define FIFO_DEPTH 16
#define LINE_STATUS_EMPTY 0x20

static uint32_t console_busy; /* a spin lock: vCPUs write whole lines */
static uint32_t fifo_room;

static void
put(char character)
{
    if (!fifo_room) {
        out8(COM1_FIFO, FIFO_ENABLE);
        for (uint32_t tries = 0; tries < 100000 && !(in8(COM1_LINE_STATUS) & LINE_STATUS_EMPTY); tries++)
            spin_hint();
        fifo_room = FIFO_DEPTH;
    }
    fifo_room--;
    out8(COM1_DATA, (uint8_t)character);
}

static void
put_number(uint64_t number)
{
    char digits[20];
    uint32_t n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    while (n)
        put(digits[--n]);
}

void
console_line(const struct console_item *items, uint32_t n_items)
{
    while (__atomic_exchange_n(&console_busy, 1, __ATOMIC_ACQUIRE))
        spin_hint();
    for (const char *text = "dirtylab-guest:"; *text; text++)
        put(*text);
    for (uint32_t i = 0; i < n_items; i++) {
        put(' ');
        for (const char *text = items[i].text; *text; text++)
            put(*text);
        if (items[i].has_number) {
            put(' ');
            put_number(items[i].number);
        }
    }
    put('\r');
    put('\n');
    __atomic_store_n(&console_busy, 0, __ATOMIC_RELEASE);
}
