#!/bin/bash
# 00_bed: the test bed itself: images, loop devices, roots with working services, and the mounts of the host around a test.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# The OS's services in a root that is mounted at $1, as its boot commands start them; svscan ends with its namespace.
services_run() {
	mount --bind /proc "$1/proc"
	mount --bind /dev "$1/dev"
	chroot "$1" /etc/init.d/svscanboot &
	ok "$2: svscan starts the services" wait_for 20 chroot "$1" svok /service/clock
	wait_for 20 chroot "$1" svok /service/echo
	ok "$2: clock's log is written by multilog" wait_for 20 grep -q 'the time is' "$1/var/log/clock/current"
	wait_for 20 test -p "$1/service/echo/out"
	run timeout 10 chroot "$1" /bin/sh -c 'echo hello >/service/echo/in; cat /service/echo/out'
	is "$out" hello "$2: echo answers"
}

# ---- a small disk with a label, a tiny OS on it
make_image "$T/tiny.img" bed-tiny
attach "$T/tiny.img"
ok "attach gives a block device" test -b "$loop"
is "$(blkid -p -s LABEL -o value "$loop")" bed-tiny "its filesystem has the label"
mkdir "$T/tiny"
ok "it mounts by its label" mount LABEL=bed-tiny "$T/tiny"
run chroot "$T/tiny" /bin/sh -c '. /etc/os-release; echo "$PRETTY_NAME"'
is "$out" "GCD OS (tiny, for tests)" "its shell runs"
services_run "$T/tiny" "tiny root"
run chroot "$T/tiny" /usr/local/sbin/chroot_escape --version
is "$status" 0 "chroot_escape runs in it"
is "$(losetup -n -O BACK-FILE "$loop" | grep -c tiny.img)" 1 "the loop device is this image's"

# ---- the whole disk
cp --sparse=always "$disk_image" "$T/disk.img"
attach "$T/disk.img"
partitions=$(for part in "$loop"p*; do blkid -p -o value -s LABEL -s PART_ENTRY_NAME "$part" | paste -sd' '; done)
is "$partitions" $'boot boot\ngcdswap swap\n/ root\ndata data' "the disk has four partitions, with their labels"
mkdir "$T/gcd"
mount "${loop}p3" "$T/gcd"
mount "${loop}p4" "$T/gcd/data"
run chroot "$T/gcd" /bin/sh -c '. /etc/os-release; echo "$PRETTY_NAME"'
is "$out" "GCD OS (Debian based demo)" "the Debian on it runs"
run chroot "$T/gcd" id -G root
is "$out" "0 11 14" "its root is in the groups 11 and 14"
run chroot "$T/gcd" /etc/rc.d/rc.M
is "$status" 0 "rc.M runs"
like "$out" "/data is there, boot number 1" "rc.M has found /data"
like "$(cat "$T/gcd/etc/motd")" "^Welcome to GCD OS" "rc.M has written /etc/motd"
services_run "$T/gcd" "Debian root"
ok "attach a second time" attach "$T/disk.img"
detach "$loop"
ok "detach is done when it returns" test ! -e "/sys/block/${loop#/dev/}/loop/backing_file"

# ---- the host
like "$(findmnt -n -o FSTYPE /run)" tmpfs "/run is the test's own"
host_shape shared
is "$(findmnt -n -o PROPAGATION /run)" shared "host_shape shared"
host_shape private
is "$(findmnt -n -o PROPAGATION /run)" private "host_shape private"

add_host_mounts
host_table "$T/table"
for dir in "${host_dirs[@]}"; do
	[[ " ${host_bare[*]} " == *" $dir "* ]] || is "$(cat "$dir/marker")" "$dir" "marker in $(printf '%q' "$dir")"
done
for file in "${host_files[@]}"; do
	is "$(cat "$file")" "$file" "marker of the file mount $file"
done
like "$(cat "$T/table")" 'C:\\134' "the table shows C:\\134, as WSL does"
like "$(cat "$T/table")" 'with\\040\\040two' "the table shows a name with spaces"
ok "a read-only mount is one" bash -c '! touch /mnt/ro_mount/x'
private_etc
ok "/etc/gcdboot can be written" touch /etc/gcdboot/default.conf

# ---- waiting
ok "wait_for sees what comes" wait_for 10 test -e /mnt/c/marker
ok "wait_for gives up" bash -c '. "$0"; ! wait_for 0 false' <(declare -f wait_for)
sleep 0.2 &
ok "wait_gone sees a process end" wait_gone 10 $!

done_testing
