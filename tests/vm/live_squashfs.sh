#!/bin/bash
# live_squashfs: a live medium, as Ubuntu's with its casper/filesystem.squashfs, as an OS: it can be written to, what is written is gone after a stop, and the medium is
# only read.
# shellcheck disable=SC2317
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/vps.bash
. "$lib_dir/vps.bash"

# live_medium: an ISO of it, in $T/live.iso.
live_medium() {
	mkdir -p "$T/tree" "$T/medium/casper"
	tar -C "$T/tree" --numeric-owner --xattrs -xf "$os_tar"
	install -D -m 755 "$BUILD/chroot_escape" "$T/tree/usr/local/sbin/chroot_escape"
	mksquashfs "$T/tree" "$T/medium/casper/filesystem.squashfs" -comp zstd -Xcompression-level 1 -quiet -no-progress
	xorriso -as mkisofs -quiet -r -J -V LIVE -o "$T/live.iso" "$T/medium"
}

# configuration SOURCE
configuration() {
	cat <<-END
		[root]
		source = $1
		overlay = tmpfs
		[boot]
		daemon = /etc/init.d/svscanboot
		run = /etc/rc.d/rc.M
	END
}

# writes_everywhere DESCRIPTION: a new file, one that is changed, one that is removed.
writes_everywhere() {
	run vm_ssh 22 'grep -c "GCD OS" /etc/os-release; findmnt -no FSTYPE /
		echo new >/root/new && echo more >>/etc/hostname && rm /etc/fstab && sync && cat /root/new /etc/hostname && test ! -e /etc/fstab'
	is "$status $out" $'0 2\noverlay\nnew\ngcdos\nmore' "$1: the OS writes, changes and removes files"
}

ok "a live medium is made" live_medium
vm_new vps
vm_args -blockdev "driver=raw,node-name=live-image,read-only=on,file.driver=file,file.filename=$T/live.iso" -device scsi-cd,bus=scsi.0,drive=live-image,id=live
vps_power_on || vm_give_up
ok "gcdboot is installed" vps_install || vm_give_up
configuration /media/cdrom/casper/filesystem.squashfs | vps_configure
run vm_ssh 3843 'mkdir -p /media/cdrom && mount -o ro LABEL=LIVE /media/cdrom && findmnt -no FSTYPE /media/cdrom'
is "$out" iso9660 "the host has mounted it"
vps_before

vps_start_os "the service boots it"
writes_everywhere "on the medium"
run vm_ssh 22 chroot_escape sh -c "'grep ^ID= /etc/os-release; ls -d /root/new'"
is "$out" ID=debian "its chroot_escape leads to the host, where none of that is"
vps_stop_os
vps_same "the host's mounts, swap and loop devices are as before"

vps_start_os "the service boots it again"
run vm_ssh 22 'cat /etc/hostname; test -e /etc/fstab && test ! -e /root/new && echo as it was'
is "$out" $'gcdos\nas it was' "all that was written is gone"
vps_stop_os

# A medium cannot be written to at all; a copy of it could be.
configuration /srv/filesystem.squashfs | vps_configure
ok "a copy of it is on the host's disk" vm_ssh 3843 'cp /media/cdrom/casper/filesystem.squashfs /srv/ && umount /media/cdrom'
vps_before
vps_start_os "the service boots the copy"
writes_everywhere "on the copy"
vps_stop_os
vps_same "once more the host is as before"
run vm_ssh 3843 'sync; sha256sum </srv/filesystem.squashfs'
is "$out" "$(sha256sum <"$T/medium/casper/filesystem.squashfs")" "the copy is the same, byte for byte"
done_testing
