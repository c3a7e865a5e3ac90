#!/bin/bash
# image.sh ROOT_TARBALL CHROOT_ESCAPE IMAGE: makes the disk of the GCD OS: GPT, with /boot, swap, the root (ext4, label "/") and /data. It is built
# without mounting anything: mke2fs -d fills a filesystem from a tree, dd puts it in its place. Sparse: about 200 MB on disk.
set -euo pipefail

die() {
	echo "tests/bed/image.sh: $*" >&2
	exit 1
}

[ $# = 3 ] || die "usage: image.sh ROOT_TARBALL CHROOT_ESCAPE IMAGE"
[ "$(id -u)" = 0 ] || die "needs root"
tarball=$1
escape=$2
image=$3

# Sizes and places in MiB. The first one is left to the partition table, the last one to its copy.
boot_at=1 boot_size=16
swap_at=17 swap_size=32
root_at=49 root_size=600
data_at=649 data_size=32
disk_size=682

# place FILESYSTEM AT: copies it to its partition; its holes stay holes.
place() {
	dd if="$1" of="$work/disk.img" bs=1M seek="$2" conv=sparse,notrunc status=none
}

# ext4 NAME LABEL SIZE [TREE]
ext4() {
	truncate -s "${3}M" "$work/$1"
	mke2fs -q -t ext4 -L "$2" -m 0 -E root_owner=0:0 ${4:+-d "$4"} "$work/$1"
}

mkdir -p "$(dirname "$image")"
work=$(mktemp -d "$(dirname "$image")/image.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

mkdir "$work/tree"
tar -C "$work/tree" --numeric-owner --xattrs -xf "$tarball"
install -D -m 755 "$escape" "$work/tree/usr/local/sbin/chroot_escape"

truncate -s "${disk_size}M" "$work/disk.img"
sfdisk -q "$work/disk.img" <<-EOF
	label: gpt
	start=${boot_at}MiB, size=${boot_size}MiB, type=linux, name=boot
	start=${swap_at}MiB, size=${swap_size}MiB, type=swap, name=swap
	start=${root_at}MiB, size=${root_size}MiB, type=linux, name=root
	start=${data_at}MiB, size=${data_size}MiB, type=linux, name=data
EOF

ext4 boot.fs boot "$boot_size"
ext4 root.fs / "$root_size" "$work/tree"
ext4 data.fs data "$data_size"
truncate -s "${swap_size}M" "$work/swap.fs"
mkswap -q -L gcdswap "$work/swap.fs"

place "$work/boot.fs" "$boot_at"
place "$work/swap.fs" "$swap_at"
place "$work/root.fs" "$root_at"
place "$work/data.fs" "$data_at"
mv "$work/disk.img" "$image"
