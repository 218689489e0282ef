# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A stock Linux as a guest: Debian's kernel, as bzImage and as vmlinux, and an initramfs of busybox, the modules for virtio-mmio, and the
# workload, whose init is guest-tests/linux/init. For scripts/testbed and scripts/guest-image, which have sourced lib.sh and image.sh.
# shellcheck disable=SC2154 # cache is the including script's, work lib.sh's

guest_programs=(build/guest-tests/linux/dirtylab-{workload,throughput})

# guest_initramfs MODULES FILE
guest_initramfs() {
    local tree program
    tree=$(mktemp -d "$work/guest.XXXXXX")
    mkdir -p "$tree"/{bin,dev,proc,sys,tmp,root}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    install -m 755 guest-tests/linux/init "$tree/init"
    for program in "${guest_programs[@]}"; do
        install -s -m 755 "$program" "$tree/bin/"
    done
    copy_modules "$1" "$tree" virtio_mmio virtio_balloon virtio_blk virtio_console virtio-rng
    (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >"$2"
    rm -rf "$tree"
}

# guest_files SERIES FOLDER: bzImage, vmlinux and initrd there. They are kept in the cache, in a folder whose name holds a hash of what
# they are made of. 3: the kernel is not to be had.
guest_files() {
    local kernel modules hash kept=$cache/guest-$1
    kernel=$(debian_kernel "$1") || return
    modules=$(echo "$kernel"/lib/modules/*)
    hash=$({ sha256sum "${guest_programs[@]}" guest-tests/linux/init scripts/extract-vmlinux scripts/testbed.d/{guest,image}.sh
        echo "$kernel"; } | sha256sum | cut -c1-16)
    if [[ ! -d $kept-$hash ]]; then
        step "building the guest's initramfs for ${kernel##*/}"
        rm -rf "$work/guest-files" "$kept"-*
        mkdir -p "$work/guest-files"
        cp "$kernel"/boot/vmlinuz-* "$work/guest-files/bzImage" && scripts/extract-vmlinux "$work"/guest-files/{bzImage,vmlinux} &&
            guest_initramfs "$modules" "$work/guest-files/initrd" && mv "$work/guest-files" "$kept-$hash" || return
    fi
    mkdir -p "$2"
    cp "$kept-$hash"/{bzImage,vmlinux,initrd} "$2/"
}
