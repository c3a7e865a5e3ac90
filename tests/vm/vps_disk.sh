#!/bin/bash
# vps_disk: a VPS with a second disk, which carries the OS: its root has the label "/", beside swap and a partition of data. gcdboot.service starts it, with the
# configuration that comes with gcdboot.
# Functions are called through `ok` and `wait_for`.
# shellcheck disable=SC2317
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/vps.bash
. "$lib_dir/vps.bash"

# disk_is_clean OFFSET_MIB: the filesystem that begins there, on the disk of a machine that is off.
disk_is_clean() {
	dumpe2fs -h "$T/os.img?offset=$(($1 * 1048576))" 2>/dev/null | grep -E '^Filesystem state: +clean$' && e2fsck -fn "$T/os.img?offset=$(($1 * 1048576))"
}

# disk_file PATH: a file of the OS's root, on the disk of a machine that is off.
disk_file() {
	debugfs -R "cat $1" "$T/os.img?offset=$((root_at * 1048576))" 2>/dev/null
}

root_at=49 data_at=649 # MiB, as in tests/bed/image.sh

vm_new vps
cp --sparse=always "$os_image" "$T/os.img"
vm_disk "$T/os.img" gcd
vps_power_on || vm_give_up
vps_places "$T/places"
vps_groups=$(vm_ssh 3843 id -Gn)
ok "gcdboot is installed" vps_install || vm_give_up
run vm_ssh 3843 gcdboot check
is "$status" 0 "check finds nothing that would stop it"
run vm_ssh 3843 systemctl enable gcdboot
is "$status" 0 "the unit is enabled"

# ---- from power-on, by systemd

ok "the machine is turned off, and on" vps_power_cycle || vm_give_up
ok "after power-on the OS answers on port 22" vps_os_up || vm_give_up
like "$(vps_release 22)" 'GCD OS' "that is the OS: its os-release"
like "$(vps_release 3843)" 'Debian GNU/Linux 12' "port 3843 is the host still"
run vm_ssh 3843 'systemctl is-system-running --wait; gcdboot status'
like "$out" '^running' "systemd is content"
unlike "$out" 'degraded|FAILED' "and all boot commands went well"
run vm_ssh 22 'cat /data/boots; tail -n +2 /proc/swaps'
like "$out" "^20..-.*/dev/sda2 .*partition" "its data are mounted, and its swap is on"
vps_places "$T/places.up"
same "$T/places" "$T/places.up" "the host's mounts are those of a start without gcdboot"
vps_mounts "$T/up"
vps_escape_session

# ---- stop, and start again

run vm_ssh 3843 'systemctl stop gcdboot; gcdboot status'
like "$out" 'not running' "systemctl stop gcdboot: the OS is down"
run vm_ssh 3843 'dumpe2fs -h /dev/sda3 2>/dev/null | grep state; e2fsck -fn /dev/sda3 && e2fsck -fn /dev/sda4; tail -n +2 /proc/swaps'
is "$status" 0 "its filesystems are whole"
like "$out" 'state: +clean' "and clean"
unlike "$out" partition "its swap is off"
like "$(vm_ssh 3843 debugfs -R "'cat /var/log/witness'" /dev/sda3 2>/dev/null)" 'TERM' "its services got TERM"
vps_mounts "$T/stopped"
same "$T/up" "$T/stopped" "the host's mount table has not changed"
run vm_ssh 3843 'systemctl start gcdboot'
is "$status" 0 "systemctl start gcdboot"
ok "the OS is up again" vps_os_up || vm_give_up
vps_mounts "$T/again"
same "$T/up" "$T/again" "with the host's mount table as it was"

# ---- power-off with the OS up

vm_ssh 22 ': >/var/log/witness; dd if=/dev/urandom of=/data/written bs=1M count=4 2>/dev/null; sha256sum </data/written >/data/sum'
ok "the host is turned off with the OS up" vm_powerdown
ok "the OS's filesystem is clean" disk_is_clean $root_at
ok "that of its data, too" disk_is_clean $data_at
like "$(disk_file /var/log/witness)" '^TERM' "its services got TERM"
ok "and on again" vps_power_on || vm_give_up
ok "the OS comes up" vps_os_up || vm_give_up
run vm_ssh 22 'sha256sum </data/written | cmp - /data/sum && wc -l </data/boots'
is "$out" 3 "with all that was written before, at its third start"

# ---- a reboot with the OS up, into a start without it

vm_ssh 3843 'touch /etc/gcdboot/off'
ok "the host reboots, with /etc/gcdboot/off" vps_reboot || vm_give_up
run vm_ssh 3843 'systemctl is-system-running --wait; gcdboot status'
like "$out" '^running.*not running' "the start after that is the plain host"
vm_powerdown
ok "the OS's filesystem is clean" disk_is_clean $root_at
done_testing
