#!/bin/bash
# vps.sh IMAGE TREE...: makes the host of the machine tests: a Debian with systemd, an sshd on port 3843, a kernel, and each TREE laid over it, as an ext4
# image; beside it IMAGE.kernel and IMAGE.initrd. Nothing is mounted for it. It is made again only when its recipe has changed. Needs root.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
image=$(realpath -m "$1")
over=("$here/vps" "${@:2}")
size=1536 # MiB, sparse
work=

# shellcheck source=tests/bed/debian.sh
. "$here/debian.sh"

die() {
	echo "tests/bed/vps.sh: $*" >&2
	exit 1
}

# Not the cloud kernel, which has no 9p.
packages=linux-image-amd64,tiny-initramfs,systemd,systemd-sysv,udev,dbus,openssh-server,kmod,procps,psmisc,e2fsprogs,fdisk
packages+=,iproute2,iputils-ping,iptables,nftables,conntrack,tcpdump,netcat-openbsd,libcap2-bin,strace

# Parts of the kernel that these machines do not have, four fifths of its size; and those that would only take time to load.
kernel_parts_left_out() {
	printf -- '--dpkgopt=path-exclude=/lib/modules/*/kernel/%s/*\n' drivers/{gpu,media,infiniband,iio,staging,usb,hid,mtd,isdn,video,leds,mmc,edac,ata,i2c,parport,crypto,dma,block/drbd,char/ipmi,firewire,thunderbolt} \
		drivers/{hwmon,platform,nfc,bluetooth,net/wireless,net/ethernet,net/usb,net/can,net/fddi,nvme,pcmcia,power,regulator,rtc,soundwire,spi,watchdog} \
		drivers/input/{mouse,joystick,tablet,touchscreen,misc} arch/x86/{kvm,crypto} virt sound net/{bluetooth,mac80211,wireless,can,sctp,rds,tipc,ceph,sunrpc} fs/{xfs,btrfs,ocfs2,gfs2,nfs,nfsd,ceph,cifs,smb,jfs,reiserfs,ntfs3,f2fs,nilfs2,ubifs,afs,coda,dlm,orangefs}
}

# kernel_of VMLINUZ: the kernel in it, unpacked: an emulated machine would take four seconds for that. QEMU starts such a one by its PVH entry.
kernel_of() {
	local start

	start=$(LC_ALL=C grep -abom 1 $'\xfd7zXZ' "$1" | head -n 1)
	[ -n "$start" ] || die "no xz in $1"
	# What follows the packed kernel in the file is an error to xz.
	tail -c "+$((${start%%:*} + 1))" "$1" | xz --decompress --stdout --single-stream 2>/dev/null || true
}

# units_masked TREE: what runs by the clock, waits for something, or asks on a console that nobody sits at.
units_masked() {
	local unit

	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
		modprobe@.service sys-fs-fuse-connections.mount sys-kernel-config.mount systemd-pstore.service getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyS1.service; do
		ln -sf /dev/null "$1/etc/systemd/system/$unit"
	done
}

# machine TREE: what makes the tree a machine, ready to be booted a first time as if it had been before.
machine() {
	local tree=$1

	units_masked "$tree"
	chroot "$tree" systemctl -q enable network-static serial-shell
	chroot "$tree" systemd-machine-id-setup >/dev/null
	rm -f "$tree/etc/resolv.conf"
	echo 'nameserver 10.0.2.3' >"$tree/etc/resolv.conf"
	touch "$tree/etc/.updated" "$tree/var/.updated"
}

[ $# -ge 1 ] || die "usage: vps.sh IMAGE TREE..."
recipe=$(recipe_of "$here/vps.sh" "$here/debian.sh" "${over[@]}")
recipe_is "$image" "$recipe" && exit 0
[ "$(id -u)" = 0 ] || die "needs root"

mkdir -p "$(dirname "$image")"
work=$(mktemp -d "$(dirname "$image")/vps.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

echo "making a Debian host with a kernel, for the machine tests (once; kept in $image)"
mapfile -t left_out < <(kernel_parts_left_out)
for tree in "${over[@]}"; do
	tar -C "$tree" --owner=0 --group=0 -rf "$work/over.tar" .
done
debian_make "$work/tree" '' "$packages" "${left_out[@]}" --essential-hook="tar -C \"\$1\" --no-overwrite-dir -xf $work/over.tar"
machine "$work/tree"
truncate -s "${size}M" "$work/image"
mke2fs -q -t ext4 -L host -m 0 -E root_owner=0:0 -d "$work/tree" "$work/image"
kernel_of "$work/tree"/boot/vmlinuz-* >"$image.kernel"
cp "$work/tree"/boot/initrd.img-* "$image.initrd"
mv "$work/image" "$image"
recipe_note "$image" "$recipe"
