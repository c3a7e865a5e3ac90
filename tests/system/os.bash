# shellcheck shell=bash
# os.bash: for the tests that boot an OS: its disk, its processes, and the host around it. Sourced after lib.sh.

# For the tests.
# shellcheck disable=SC2034
{
	rundir=/run/gcdboot/default
	boot_log=$rundir/boot.log
	rootdir=$T/GCD
}

# os_tree: the tiny root in $T/tree, with the test's own programs in /sbin. Made once; a test changes it before make_image.
os_tree() {
	make_root "$T/tree"
	cp "$helpers/os_process" "$T/tree/sbin/"
}

# os_disk LABEL: a disk with what is in $T/tree, attached; its device in $loop.
os_disk() {
	make_image "$T/$1.img" "$1" 16 "$T/tree"
	attach "$T/$1.img"
}

# os_pids NAME...: the processes with one of these names, but for zombies: dead ones whose parent has not looked yet.
os_pids() {
	ps -e -o pid=,stat=,comm= | awk -v names=" $* " '$2 !~ /^Z/ && index(names, " " $3 " ") { print $1 }'
}

# os_none NAME...: whether none of them runs.
os_none() {
	[ -z "$(os_pids "$@")" ]
}

# end_holder: ends the escaped `sleep 100` that holds the disk, and waits until it has let go.
end_holder() {
	local holder

	holder=$(pgrep -f 'sleep 100$')
	kill "$holder"
	wait_gone 20 "$holder"
}

# supervisor: its pid, as it has written it down.
supervisor() {
	sed -n 's/^pid //p' "$rundir/state"
}

# in_state KEY: the values of the key in the state file.
in_state() {
	sed -n "s/^$1 //p" "$rundir/state"
}

# host_now FILE: the mounts, /run, the mount point and the living processes of the test's host, one line each.
host_now() {
	local dir comm

	cat /proc/self/mountinfo >"$1"
	find /run ! -name boot.log ! -path /run/gcdboot ! -path "$rundir" | LC_ALL=C sort >>"$1"
	find "$T" -maxdepth 1 -path "$rootdir" >>"$1"
	for dir in /proc/[0-9]*; do
		{ read -r comm <"$dir/comm" && [ "$(sed -n 's/^State:.//p' "$dir/status" | cut -c1)" != Z ]; } 2>/dev/null && echo "process ${dir#/proc/} $comm" >>"$1"
	done
}

# host_before: notes it down. host_same DESCRIPTION: it is so again, within a moment (a killed process goes when its parent has looked).
host_before() {
	host_now "$T/host.before"
}

host_is_same() {
	host_now "$T/host.after"
	cmp -s "$T/host.before" "$T/host.after"
}

host_same() {
	wait_for 3 host_is_same
	same "$T/host.before" "$T/host.after" "$1"
}

# device_is_free DEVICE: it can be opened for oneself alone. filesystem_is_clean DEVICE: it was unmounted in order, and is whole.
device_is_free() {
	perl -MFcntl -e 'sysopen(my $device, $ARGV[0], O_RDONLY | O_EXCL) or die "$ARGV[0]: $!\n"' "$1"
}

filesystem_is_clean() {
	dumpe2fs -h "$1" 2>/dev/null | grep -E '^Filesystem state: +clean$' && e2fsck -fn "$1"
}

# file_of DEVICE PATH: a file of an ext4 filesystem that is not mounted.
file_of() {
	debugfs -R "cat $2" "$1" 2>/dev/null
}

# swap_is_on DEVICE: the kernel names it by the path below the OS's root, where the OS turned it on.
swap_is_on() {
	grep -qE "^[^ ]*$1[[:space:]]" /proc/swaps
}
