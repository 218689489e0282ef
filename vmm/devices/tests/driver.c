/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <machine/platform.h>
#include <machine/vcpu.h>

#define CODE_GPA 0x1000

guint32
driver_read(Driver *driver, guint64 offset)
{
    guint64 value;

    g_assert_true(
        bus_read(driver->bus, BUS_MMIO, 0, PLATFORM_VIRTIO_BASE + driver->slot * PLATFORM_VIRTIO_STRIDE + offset, 4, &value));
    return (guint32)value;
}

void
driver_write(Driver *driver, guint64 offset, guint32 value)
{
    g_assert_true(
        bus_write(driver->bus, BUS_MMIO, 0, PLATFORM_VIRTIO_BASE + driver->slot * PLATFORM_VIRTIO_STRIDE + offset, 4, value));
}

void
driver_store(Driver *driver, guint64 gpa, gconstpointer bytes, gsize size)
{
    guint8 *hva = dl_layout_hva_of_gpa(guest_ram_layout(driver->ram), gpa, size);

    g_assert_nonnull(hva);
    if (driver->noted)
        guest_ram_store(driver->ram, gpa, bytes, size);
    else
        memcpy(hva, bytes, size);
}

guint64
driver_ring(guint queue, guint part)
{
    return DRIVER_RINGS + ((guint64)queue * DRIVER_QUEUE_PAGES + (part == 0 ? 0 : part == 1 ? 4 : 6)) * DL_PAGE_SIZE;
}

void
driver_negotiate(Driver *driver, guint64 features)
{
    guint64 offered = 0;

    driver_write(driver, VIRTIO_MMIO_STATUS, 0);
    memset(driver->queue, 0, sizeof driver->queue);
    driver_write(driver, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
    driver_write(driver, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    for (guint word = 0; word < 2; word++) {
        driver_write(driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
        offered |= (guint64)driver_read(driver, VIRTIO_MMIO_DEVICE_FEATURES) << (32 * word);
    }
    driver->features = offered & features;
    for (guint word = 0; word < 2; word++) {
        driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
        driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, (guint32)(driver->features >> (32 * word)));
    }
    driver_write(driver, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
}

void
driver_set_up_queue(Driver *driver, guint queue, guint16 size)
{
    static const guint registers[] = {VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_USED_LOW};
    static const guint8 zeroes[DL_PAGE_SIZE];

    for (guint page = 0; page < DRIVER_QUEUE_PAGES; page++)
        driver_store(driver, driver_ring(queue, 0) + page * DL_PAGE_SIZE, zeroes, sizeof zeroes);
    driver->queue[queue].size = size;
    driver_write(driver, VIRTIO_MMIO_QUEUE_SEL, queue);
    driver_write(driver, VIRTIO_MMIO_QUEUE_NUM, size);
    for (guint part = 0; part < 3; part++) {
        driver_write(driver, registers[part], (guint32)driver_ring(queue, part));
        driver_write(driver, registers[part] + 4, (guint32)(driver_ring(queue, part) >> 32));
    }
    driver_write(driver, VIRTIO_MMIO_QUEUE_READY, 1);
}

void
driver_ready(Driver *driver)
{
    driver_write(driver, VIRTIO_MMIO_STATUS, driver_read(driver, VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
}

void
driver_start(Driver *driver, guint64 features, guint n_queues)
{
    driver_negotiate(driver, features | UINT64_C(1) << VIRTIO_F_VERSION_1);
    for (guint queue = 0; queue < n_queues; queue++)
        driver_set_up_queue(driver, queue, DRIVER_QUEUE_SIZE);
    driver_ready(driver);
    g_assert_cmphex(driver_read(driver, VIRTIO_MMIO_STATUS), ==, 0xf);
}

void
driver_describe(Driver *driver, guint queue, guint index, struct vring_desc descriptor)
{
    driver_store(driver, driver_ring(queue, 0) + index * sizeof descriptor, &descriptor, sizeof descriptor);
}

void
driver_make_available(Driver *driver, guint queue, guint16 head)
{
    guint16 size = driver->queue[queue].size;
    guint64 ring = driver_ring(queue, 1);

    driver_store(driver, ring + 4 + (guint64)2 * (driver->queue[queue].available % size), &head, sizeof head);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    driver->queue[queue].available++;
    driver_store(driver, ring + 2, &driver->queue[queue].available, sizeof(guint16));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

guint16
driver_add(Driver *driver, guint queue, const GuestRamPiece *pieces, guint n, guint n_out)
{
    guint16 size = driver->queue[queue].size;
    guint16 head = driver->queue[queue].next;

    for (guint i = 0; i < n; i++) {
        struct vring_desc descriptor = {.addr = pieces[i].gpa,
                                        .len = (guint32)pieces[i].size,
                                        .flags =
                                            (guint16)((i < n_out ? 0 : VRING_DESC_F_WRITE) | (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
                                        .next = (guint16)((head + i + 1) % size)};
        driver_describe(driver, queue, (head + i) % size, descriptor);
    }
    driver->queue[queue].next = (guint16)((head + n) % size);
    driver_make_available(driver, queue, head);
    return head;
}

void
driver_kick(Driver *driver, guint queue)
{
    driver_write(driver, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

gboolean
driver_take_used(Driver *driver, guint queue, struct vring_used_elem *element)
{
    guint16 size = driver->queue[queue].size, index;
    guint64 ring = driver_ring(queue, 2);

    g_assert_true(guest_ram_load(driver->ram, ring + 2, &index, sizeof index));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (index == driver->queue[queue].seen)
        return FALSE;
    g_assert_true(guest_ram_load(driver->ram, ring + 4 + (guint64)(driver->queue[queue].seen % size) * sizeof *element, element,
                                 sizeof *element));
    driver->queue[queue].seen++;
    return TRUE;
}

gint64
driver_deadline(void)
{
    return g_get_monotonic_time() + (gint64)60 * G_USEC_PER_SEC;
}

void
driver_start_machine(Machine *machine)
{
    static const char code[] = "\xfa\xf4\xeb\xfd"; /* cli; hlt; jmp back to it */
    g_autoptr(GError) error = NULL;
    struct kvm_regs regs = {.rip = CODE_GPA, .rsp = 0x2000, .rflags = 2};
    struct kvm_sregs sregs;

    g_assert_true(guest_ram_store(machine_ram(machine), CODE_GPA, code, sizeof code));
    g_assert_true(vcpu_get_regs(machine, 0, NULL, &sregs, &error));
    sregs.cs.base = sregs.cs.selector = 0;
    g_assert_true(vcpu_set_regs(machine, 0, &regs, &sregs, &error));
    g_assert_true(machine_start(machine, &error));
    g_assert_no_error(error);
}
