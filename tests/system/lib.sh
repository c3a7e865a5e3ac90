# shellcheck shell=bash
# lib.sh: what every system test begins with. A test is a bash script that sources it and speaks TAP:
#
#	#!/bin/bash
#	. "$(dirname "$0")/lib.sh"
#	make_root "$T/root"
#	write_conf <<-EOF
#		[root]
#		source = $T/root
#	EOF
#	run os boot
#	is "$status" 0 "boots"
#	done_testing
#
# Sourcing it starts the script again in mount and pid namespaces of its own, with an empty /run and a scratch directory $T on a tmpfs; every process
# of the test dies with them. The first one, outside, compares the host before and after, and adds that as the test's last line.

set -u

lib_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$lib_dir/../.." && pwd)
BUILD=$(realpath -m "${BUILD:-$repo/build}")
export BUILD

# shellcheck source=tests/bed/host.sh
. "$repo/tests/bed/host.sh"
# shellcheck source=tests/bed/loop.sh
. "$repo/tests/bed/loop.sh"

# For the tests: the programs, and what tests/bed made.
# shellcheck disable=SC2034
{
	gcdboot=$BUILD/gcdboot
	escape=$BUILD/chroot_escape
	helpers=$BUILD/tests/system
	disk_image=$BUILD/bed/disk.img
	debian_tar=$repo/build/bed/root.tar
	tiny_tree=$repo/build/bed/tiny
}

# ---- outside: the first run of the script

# Loop devices and their swap, noted by attach() in a file that outlives the namespace; also where the test was killed. Not those that the test has let go
# itself, and that are another's by now.
outside_release_loops() {
	local loop image

	# The trap may have come in the middle of `IFS= read`.
	while IFS=" " read -r loop image; do
		[ "$(loop_image "$loop")" = "$image" ] || continue
		loop_swapoff "$loop"
		loop_detach "$loop"
	done <"$outside/loops"
}

outside_cleanup() {
	trap '' INT TERM HUP
	kill -KILL "$outside_child" 2>/dev/null
	wait "$outside_child" 2>/dev/null
	outside_release_loops
	rm -rf --one-file-system "$outside"
}

# Passes the test's lines on, counts them, and keeps back the plan, as one more line is to come.
outside_relay() {
	local line

	while IFS= read -r line; do
		case $line in
		1..*) outside_plan=$line && continue ;;
		ok\ *) outside_count=$((outside_count + 1)) ;;
		not\ ok\ *) outside_count=$((outside_count + 1)) && outside_failed=1 ;;
		esac
		printf '%s\n' "$line"
	done
}

# outside_ok DESCRIPTION FILE: one more TAP line, good where FILE is empty; else the file is shown.
outside_ok() {
	outside_count=$((outside_count + 1))
	if [ ! -s "$2" ]; then
		echo "ok $outside_count - $1"
	else
		echo "not ok $outside_count - $1"
		sed 's/^/# /' "$2"
		outside_failed=1
	fi
}

outside_compare_host() {
	local report=$outside/report

	: >"$report"
	host_settles "$outside/before" "$outside/after" 5 ||
		diff "$outside/before" "$outside/after" | sed -n 's/^[<>]/host changed: &/p' >"$report"
	host_processes "$(cat "$outside/pid_namespace")" | sed 's/^/process left: /' >>"$report"
	outside_ok "the host is as it was" "$report"
}

outside_main() {
	local status

	if [ "$(id -u)" != 0 ]; then
		echo "Bail out! needs root: sudo make check"
		exit 1
	fi
	outside=$(mktemp -d /tmp/gcdboot-test.XXXXXX)
	mkdir "$outside/t"
	: >"$outside/loops"
	host_snapshot >"$outside/before"

	exec {outside_fd}< <(BED_INSIDE=$outside exec unshare -m -p -f --kill-child --mount-proc --propagation private \
		bash "$0" "$@" </dev/null)
	outside_child=$!
	trap outside_cleanup EXIT
	# timeout(1) sends a signal twice, to the process and to its group: the second one must not end the clean-up.
	trap 'trap "" INT TERM HUP; exit 143' INT TERM HUP

	outside_plan='' outside_count=0 outside_failed=0
	outside_relay <&"$outside_fd"
	wait "$outside_child"
	status=$?

	if [ "$outside_plan" != "1..$outside_count" ] && [[ $outside_plan != *SKIP* ]]; then
		echo "plan: '$outside_plan', tests: $outside_count, exit status $status" >"$outside/died"
		outside_ok "the test ran to its end" "$outside/died"
	fi
	outside_release_loops
	if [[ $outside_plan == *SKIP* ]]; then
		echo "$outside_plan"
		exit 0
	fi
	outside_compare_host
	echo "1..$outside_count"
	exit "$outside_failed"
}

# ---- inside: the namespaces of the test

inside_main() {
	T=$BED_INSIDE/t
	readlink /proc/self/ns/pid >"$BED_INSIDE/pid_namespace"
	mount -t tmpfs -o mode=700 gcdboot-test "$T"
	mount -t tmpfs -o mode=755 tmpfs /run
	mkdir -p /run/lock /run/mount
	export T BLKID_FILE=$T/blkid.tab LIBMOUNT_UTAB=$T/utab
	unset CDPATH
	export LC_ALL=C.UTF-8
	cd / || exit 1
}

conf=''

if [ -z "${BED_INSIDE:-}" ]; then
	outside_main "$@"
fi
inside_main

# shellcheck source=tests/bed/tap.sh
. "$repo/tests/bed/tap.sh"

# ---- commands

# write_conf [NAME]: stdin becomes $conf, $T/conf/NAME.conf (default: test), which os() uses.
write_conf() {
	conf=$T/conf/${1:-test}.conf
	mkdir -p "$T/conf"
	cat >"$conf"
	chmod 600 "$conf"
}

# os COMMAND [ARG...]: gcdboot with the configuration of the test.
os() {
	timeout --foreground -k 5 "${RUN_TIMEOUT:-60}" "$gcdboot" -c "$conf" "$@"
}

# boot [OPTION...], stop [OPTION...], enter COMMAND [ARG...]: as `run os ...`. Where `boot` fails, its log is shown.
boot() {
	run os boot --detach "$@"
	[ "$status" = 0 ] || { diag "boot failed" && diag_run && cat /run/gcdboot/*/boot.log 2>/dev/null | sed 's/^/# boot.log: /'; }
}

stop() {
	run os stop "$@"
}

enter() {
	run os enter -- "$@"
}

# ---- roots and disks

# make_root DIR: the tiny root (busybox, daemontools, the OS's boot scripts and services) as a directory, with chroot_escape in it.
make_root() {
	cp -a "$tiny_tree" "$1"
	install -D -m 755 "$escape" "$1/usr/local/sbin/chroot_escape"
}

# make_debian_root DIR: the same OS in full, a Debian.
make_debian_root() {
	mkdir -p "$1"
	tar -C "$1" --numeric-owner --xattrs -xf "$debian_tar"
	install -D -m 755 "$escape" "$1/usr/local/sbin/chroot_escape"
}

# make_image FILE LABEL [MEGABYTES [TREE]]: an ext4 filesystem in a file; 16 MB with the tiny root in it by default, TREE - : empty.
make_image() {
	local file=$1 label=$2 size=${3:-16} tree=${4:-}

	if [ -z "$tree" ]; then
		tree=$T/.tree
		[ -d "$tree" ] || make_root "$tree"
	fi
	truncate -s "${size}M" "$file"
	if [ "$tree" = - ]; then
		mke2fs -q -t ext4 -L "$label" -m 0 "$file"
	else
		mke2fs -q -t ext4 -L "$label" -m 0 -d "$tree" "$file"
	fi
}

# attach IMAGE: as a block device, whose name it sets in $loop, with partitions where it has them. Detached when the test ends, however it ends.
attach() {
	loop=$(loop_attach "$1") || return
	echo "$loop $(loop_image "$loop")" >>"$BED_INSIDE/loops"
}

# detach DEVICE: now.
detach() {
	loop_detach "$1"
}

# ---- the host around the test

# host_shape shared|private: every mount's propagation; shared as systemd makes it, private as on WSL without it.
host_shape() {
	mount --make-"r$1" /
}

# private_etc: a copy of /etc, so that the test can write /etc/gcdboot. It is one more mount of the host: `exclude = /etc` keeps it out of the OS.
private_etc() {
	mkdir "$T/.etc"
	cp -a /etc/. "$T/.etc"
	rm -rf "$T/.etc/gcdboot"
	mkdir "$T/.etc/gcdboot"
	mount --bind "$T/.etc" /etc
}

# host_tmpfs TARGET SOURCE OPTIONS: a tmpfs with a marker file that holds its own path.
host_tmpfs() {
	mkdir -p "$1"
	mount -t tmpfs -o "size=64k,mode=755${3:+,$3}" "$2" "$1"
	printf '%s\n' "$1" >"$1/marker"
	host_dirs+=("$1")
}

# add_host_mounts: the mounts that hosts have and scripts trip over, all below a fresh /mnt. Sets host_dirs (each has a file `marker` with its
# own path in it, but for those in host_bare) and host_files (file mounts, with their own path as their content, but for the fifo).
add_host_mounts() {
	host_dirs=() host_files=() host_bare=()

	host_tmpfs /mnt none
	host_tmpfs /mnt/c C:\\ nosuid,nodev,noatime
	host_tmpfs '/mnt/with  two spaces' 'my server' noexec
	host_tmpfs $'/mnt/tab\there' tab
	host_tmpfs '/mnt/back\slash' 'a\040b'
	host_tmpfs '/mnt/hash#' '#source'
	host_tmpfs '/mnt/日本' utf8
	host_tmpfs /mnt/deep/one/two deep nosuid
	host_tmpfs /mnt/deep/one/two/three/four deeper
	host_tmpfs /mnt/ro_mount ro
	mount -o remount,bind,ro /mnt/ro_mount
	host_tmpfs /mnt/ro_filesystem ro
	mount -o remount,ro /mnt/ro_filesystem
	host_tmpfs /mnt/strict strict nosuid,nodev,noexec

	# A bind of a directory that is not its filesystem's root.
	mkdir /mnt/c/Users /mnt/users
	printf '/mnt/users\n' >/mnt/c/Users/marker
	mount --bind /mnt/c/Users /mnt/users
	host_dirs+=(/mnt/users)

	host_file /mnt/file
	host_file '/mnt/read only file'
	mount -o remount,bind,ro '/mnt/read only file'
	host_file /mnt/strict/file_in_mount

	# No marker can be written into these. There is but one cgroup2: a mount with other options would change those of the machine's own.
	mkdir /mnt/cgroup2
	if mount -t cgroup2 -o "$(findmnt -n -o FS-OPTIONS -t cgroup2 | head -n 1)" cgroup2 /mnt/cgroup2 2>/dev/null; then
		host_dirs+=(/mnt/cgroup2)
		host_bare+=(/mnt/cgroup2)
	fi
}

# host_file TARGET: a bind of a file that holds the path of its mount point.
host_file() {
	local source

	source=$(mktemp "$T/file.XXXXXX")
	printf '%s\n' "$1" >"$source"
	: >"$1"
	mount --bind "$source" "$1"
	host_files+=("$1")
}

# host_table FILE: the mount table of the test's host, to be compared with same().
host_table() {
	cat /proc/self/mountinfo >"$1"
}
