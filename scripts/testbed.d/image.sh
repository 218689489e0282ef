# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the testbed boots: a kernel of Debian's, fetched but never installed, and an initramfs of busybox, modules and this tree's
# programs. Both stay in $cache. For scripts/testbed, which has sourced scripts/lib.sh.
# shellcheck disable=SC2154 # cache, action, guests and with are the including script's, root and work lib.sh's

# The newest package of a series that the archive's lists name.
newest_package() {
    apt-cache search --names-only "^linux-image-${1//./\\.}\.[-.0-9]+(\+deb[0-9]+)?-cloud-amd64-unsigned\$" | cut -d' ' -f1 | sort -V |
        tail -n 1
}

# fetch_package NAME FOLDER: unpacked there, and marked complete.
fetch_package() {
    rm -rf "$2"
    mkdir -p "$2/download"
    (cd "$2/download" && apt-get -qq -o APT::Sandbox::User=root download "$1" >&2) || return
    dpkg-deb -x "$2"/download/*.deb "$2" || return
    rm -rf "$2/download"
    touch "$2/complete"
}

# debian_kernel SERIES: prints the folder of Debian's cloud kernel. One that was fetched before serves when the archive does not answer;
# 3 when there is neither.
debian_kernel() {
    local package kept
    kept=$(find "$cache" -mindepth 2 -maxdepth 2 -path "*/linux-image-$1.*/complete" -printf '%h\n' | sort -V | tail -n 1)
    package=$(newest_package "$1")
    if [[ -z $package && -z $kept ]]; then
        as_root apt-get -qq update >&2 || true
        package=$(newest_package "$1")
    fi
    if [[ -n $package && ! -f $cache/$package/complete ]]; then
        step "fetching $package"
        if ! fetch_package "$package" "$cache/$package"; then
            rm -rf "${cache:?}/$package"
            package=
        fi
    fi
    if [[ -n $package ]]; then
        printf '%s\n' "$cache/$package"
    elif [[ -n $kept ]]; then
        say "testbed: the archive does not answer; taking ${kept##*/}, which was fetched before."
        printf '%s\n' "$kept"
    else
        say "testbed: no cloud kernel $1: apt's archive has none or cannot be reached, and none was fetched before."
        return 3
    fi
}

# copy_modules FOLDER TO NAME...: these modules, with what they depend on, uncompressed, and the order in which to load them.
copy_modules() {
    local tree name file version to=$2
    version=$(basename "$1")
    tree=$(mktemp -d "$work/modules.XXXXXX")
    mkdir -p "$tree/lib/modules" "$to/modules"
    cp -r "$1" "$tree/lib/modules/"
    depmod -b "$tree" "$version"
    shift 2
    for name; do
        # one that is built in, or that this kernel has not, is no module
        modprobe -d "$tree" -S "$version" --show-depends "$name" 2>/dev/null || true
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
        case $file in
        *.xz) xz -dc "$file" >"$to/modules/$(basename "${file%.xz}")" ;;
        *.zst) zstd -qdc "$file" >"$to/modules/$(basename "${file%.zst}")" ;;
        *) cp "$file" "$to/modules/" ;;
        esac
        basename "$file" | sed 's/\.ko\..*$/.ko/' >>"$to/modules/order"
    done
    rm -rf "$tree"
}

# What of the build goes in: the program, the library and every test, with what a test in sh reads.
programs() {
    printf '%s\n' build/vmm/dirtylab build/vmm/dirtylab-tools
    echo build/guest-tests/linux/tests/guest.sh
    find build \( -path '*/tests/*' -executable -o -name 'libdirtylog.so*' \) -type f ! -path '*.p/*' ! -name 'libno-*' -print
}

# copy_programs TO PROGRAM...: the tree's programs below /lab, at their place in the tree, and the system's libraries that they name.
copy_programs() {
    local to=$1 file
    shift
    for file; do
        install -D "$file" "$to/lab/$file"
    done
    # a script names none
    { ldd "$@" 2>/dev/null || true; } | awk '$2 == "=>" { print $3 } $2 ~ /^\(/ { print $1 }' | grep '^/' | sort -u |
        while read -r file; do
            [[ $file == "$root"/* ]] || install -D "$file" "$to$file"
        done
}

# initramfs MODULES: sets image_file. One image is kept for each module folder; its name holds a hash of what it is made of.
initramfs() {
    local modules=$1 tree hash files name
    mapfile -t files < <(programs | sort)
    name=$cache/initramfs-$(basename "${modules:-none}")
    hash=$({ sha256sum "${files[@]}" scripts/testbed.d/*; stat -c '%n %Y' "${modules:-/dev/null}"; } | sha256sum | cut -c1-16)
    image_file=$name-$hash.cpio.gz
    [[ ! -f $image_file ]] || return 0
    step "building the initramfs"
    tree=$(mktemp -d "$work/initramfs.XXXXXX")
    mkdir -p "$tree"/{bin,dev,proc,sys,tmp,results,root}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    install -m 755 scripts/testbed.d/init "$tree/init"
    install -m 755 scripts/testbed.d/run-tests "$tree/bin/run-tests"
    copy_programs "$tree" "${files[@]}"
    [[ -z $modules ]] || copy_modules "$modules" "$tree" virtio_pci virtio_console brd kvm-amd kvm-intel
    (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >"$work/image"
    rm -rf "$tree" "$name"-*
    mv "$work/image" "$image_file"
}

# extras_archive: the guests' kernels and initramfs below /guest, and the files of --with below /with; nothing where nobody asked. Not
# compressed: emulated, the kernel inside copies faster than it decompresses. Such an archive has to be the first.
extras_archive() {
    local tree=$work/extras series
    mkdir -p "$tree"
    for series in "${guests[@]}"; do
        guest_files "$series" "$tree/guest/$series" || return
    done
    if ((${#with[@]})); then
        mkdir -p "$tree/with"
        cp -rL "${with[@]}" "$tree/with/" || return
    fi
    if ((${#guests[@]} + ${#with[@]})); then
        (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet)
    fi
}

# command_archive COMMAND...: what differs from run to run, a small second archive behind the first.
command_archive() {
    local tree=$work/command argument
    mkdir -p "$tree"
    printf '%s\n' "$action" >"$tree/action"
    for argument; do
        printf "'%s' " "${argument//\'/\'\\\'\'}" # as a shell inside reads it
    done >"$tree/command"
    (cd "$tree" && find . | cpio -o -H newc --quiet | gzip -1)
}
