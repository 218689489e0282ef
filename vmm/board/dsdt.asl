// SPDX-License-Identifier: MIT
// What the guest learns of the devices: one serial port, eight virtio-mmio slots (an empty one answers with device id 0), and how to
// power off. The numbers are those of vmm/machine/platform.h; the test compares the compiled table with it.
DefinitionBlock ("", "DSDT", 2, "DIRTYL", "DIRTYLAB", 1)
{
    Name (\_S5, Package () { 5, 0, 0, 0 })

    Scope (\_SB)
    {
        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, One)
            Name (_CRS, ResourceTemplate () {
                IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 4 }
            })
        }

        Device (VR00)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 0)
            Name (_CCA, One)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0xD0000000, 0x00000200)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 16 }
            })
        }

        Device (VR01)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 1)
            Name (_CCA, One)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0xD0001000, 0x00000200)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 17 }
            })
        }

        Device (VR02)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 2)
            Name (_CCA, One)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0xD0002000, 0x00000200)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 18 }
            })
        }

        Device (VR03)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 3)
            Name (_CCA, One)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0xD0003000, 0x00000200)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 19 }
            })
        }

        Device (VR04)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 4)
            Name (_CCA, One)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0xD0004000, 0x00000200)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 20 }
            })
        }

        Device (VR05)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 5)
            Name (_CCA, One)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0xD0005000, 0x00000200)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 21 }
            })
        }

        Device (VR06)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 6)
            Name (_CCA, One)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0xD0006000, 0x00000200)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 22 }
            })
        }

        Device (VR07)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 7)
            Name (_CCA, One)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0xD0007000, 0x00000200)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 23 }
            })
        }
    }
}
