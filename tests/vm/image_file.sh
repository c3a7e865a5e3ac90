#!/bin/bash
# image_file: an OS in a partition of an image file that lies on the host's disk, from the host's start on; what it writes is there at the second boot, and no loop
# device stays.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/vps.bash
. "$lib_dir/vps.bash"

# loops_of_image: the loop devices that show it, on the host.
loops_of_image() {
	vm_ssh 3843 losetup --noheadings --output NAME,BACK-FILE --associated /srv/gcd.img
}

# lands_in_os DESCRIPTION: by ssh to port 22.
lands_in_os() {
	run vm_ssh 22 'cat /etc/os-release; findmnt -no SOURCE,FSTYPE /'
	like "$out" $'GCD OS.*\n/dev/loop.* ext4' "$1: it is the OS of the image file"
}

vm_new vps
vps_power_on || vm_give_up
# It comes as a disk, which is quicker than ssh, and goes again before anything is booted.
vm_plug "$os_image" carrier
ok "an image with a partition table is on the host's disk" \
	wait_for 60 vm_ssh 3843 'test -e /dev/disk/by-id/*carrier && dd if="$(readlink -f /dev/disk/by-id/*carrier)" of=/srv/gcd.img bs=1M conv=sparse status=none'
vm_pull carrier

# Swap and /data of the disk's own are in other partitions, which an image file does not give.
ok "gcdboot is installed" vps_install || vm_give_up
vps_configure <<-'END'
	[root]
	source = /srv/gcd.img
	partition = 3
	[boot]
	daemon = /etc/init.d/svscanboot
	run = /etc/rc.d/rc.M
END
vps_before
run vm_ssh 3843 systemctl enable gcdboot
vps_start_os "the service boots the image"
lands_in_os "booted"
like "$(loops_of_image)" '^/dev/loop[0-9]+ +/srv/gcd.img$' "one loop device shows it"
run vm_ssh 22 'date >/root/written; cat /root/written'
written=$out
vps_stop_os
vps_same "the host's mounts, swap and loop devices are as before"

ok "the host is turned off, and on" vps_power_cycle || vm_give_up
ok "the service boots it at the host's start" vm_wait_ssh 22 || vm_give_up
lands_in_os "from the host's start on"
run vm_ssh 22 cat /root/written
is "$out" "$written" "what was written is there"
vps_stop_os "the service stops it again"
is "$(loops_of_image)" '' "no loop device is left"
run vm_ssh 3843 "e2fsck -fn '/srv/gcd.img?offset=$((49 << 20))' && dumpe2fs -h '/srv/gcd.img?offset=$((49 << 20))'"
is "$status" 0 "its filesystem is whole"
like "$out" 'Filesystem state: +clean' "and clean"
done_testing
