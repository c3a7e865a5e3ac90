#!/bin/bash
# demo.sh: boots a real disk on this machine, looks around in it, escapes from it, stops it, and shows that the host is as it was. Every step is
# checked: a failed one ends the demo with exit status 1. Run by `make demo`; $BUILD says where the programs and the disk image are.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath -m "${BUILD:-$here/../build}")
PATH=$BUILD:$PATH
work='' loop='' booted='' color='' plain=''

# shellcheck source=tests/bed/loop.sh
. "$here/bed/loop.sh"

# ---- the show

# say TEXT: a comment between the commands.
say() {
	printf '\n%s# %s%s\n' "$color" "$1" "$plain"
}

fail() {
	echo "demo: $*" >&2
	exit 1
}

# typed COMMAND [ARG...]: the command as a person would type it.
typed() {
	local arg line=

	for arg in "$@"; do
		case $arg in
		*[!A-Za-z0-9_/.:=,@%+-]* | '') line+=" '$arg'" ;;
		*) line+=" $arg" ;;
		esac
	done
	printf '%shost:~ #%s%s\n' "$color" "$plain" "$line"
}

# show COMMAND [ARG...]: types it and runs it, on this terminal.
show() {
	typed "$@"
	"$@" || fail "'$*' failed with exit status $?"
}

# expect REGEX COMMAND [ARG...]: the same, and what it prints has to match.
expect() {
	local regex=$1

	shift
	typed "$@"
	"$@" >"$work/out" 2>&1 || { cat "$work/out" && fail "'$*' failed"; }
	cat "$work/out"
	grep -qE -e "$regex" "$work/out" || fail "'$*' did not print $regex"
}

# ---- setting up, and taking down whatever is there, at whatever point the demo ended

cleanup() {
	local status=$?

	trap '' INT TERM HUP
	[ -n "$work" ] || exit "$status"
	cd /
	[ -z "$booted" ] || stop_os || status=1
	release_disk || status=1
	rm -rf --one-file-system "$work"
	exit "$status"
}

# For an end in the middle: after show_stop() there is nothing to stop.
stop_os() {
	gcdboot -c "$work/demo.conf" status >/dev/null 2>&1
	[ $? != 3 ] || return 0
	echo "demo: stopping the OS"
	gcdboot -c "$work/demo.conf" stop
}

# Asks the kernel, as ^C may have come before attach_disk() knew the device. The OS's swap must not stay on a device that goes away.
release_disk() {
	local device

	for device in $(losetup --noheadings --raw --output NAME --associated "$work/disk.img"); do
		loop_swapoff "$device"
		loop_detach "$device" || return
	done
}

# The image is made once and stays as it is: each demo boots a copy.
attach_disk() {
	cp --sparse=always "$BUILD/bed/disk.img" "$work/disk.img"
	loop=$(loop_attach "$work/disk.img")
	[ -n "$loop" ] || fail "cannot attach the disk image: are there loop devices here?"
}

# LABEL=/ as the person has it, but where this machine has such a filesystem itself.
root_tag() {
	if [ "$(blkid -c /dev/null -t LABEL=/ -o device | grep -cv "^$loop")" = 0 ]; then
		echo LABEL=/
	else
		echo "UUID=$(blkid -p -s UUID -o value "${loop}p3")"
	fi
}

write_conf() {
	mkdir "$work/GCD"
	cat >"$work/demo.conf" <<-EOF
		[root]
		source = $(root_tag)
		path   = $work/GCD
	EOF
}

# ---- the story

# Neither the person's own OS nor another demo is disturbed.
refuse_second_os() {
	local status conf

	for conf in '' "$work/demo.conf"; do
		gcdboot ${conf:+-c "$conf"} status >/dev/null 2>&1
		status=$?
		if [ "$status" = 0 ] || [ "$status" = 4 ]; then
			fail "an OS is running on this machine already (gcdboot ${conf:+-c $conf }status): stop it first"
		fi
	done
}

show_disk() {
	say "A disk of four partitions; the third one holds another Linux, the GCD OS, with daemontools."
	show partx --show --output NR,NAME,SIZE "$loop"
	show cat demo.conf
	say "What is there that could be booted, and would anything stop it?"
	expect "$loop" gcdboot list
	show gcdboot -c demo.conf check
	say "What boot would do, in order."
	expect 'svscanboot' gcdboot -c demo.conf plan
}

show_boot() {
	say "Boot it: in a mount namespace of its own, with all mounts of this host in it."
	booted=1
	show gcdboot -c demo.conf boot --detach
	show gcdboot -c demo.conf status
}

# supervise takes a moment after svscan's start.
wait_for_services() {
	local try

	for try in $(seq 200); do
		if gcdboot -c demo.conf enter -- sh -c 'svok /service/clock && svok /service/echo' >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.1
	done
	fail "the services did not come up in $((try / 10)) seconds"
}

show_inside() {
	wait_for_services
	say "Inside: another distribution, its services, its second partition."
	expect 'GCD OS' gcdboot -c demo.conf enter -- grep PRETTY_NAME /etc/os-release
	expect '/service/clock: up' gcdboot -c demo.conf enter -- sh -c 'svstat /service/*'
	expect 'hello' gcdboot -c demo.conf enter -- sh -c 'echo hello >/service/echo/in; cat /service/echo/out'
	expect "${loop}p4" gcdboot -c demo.conf enter -- df -h / /data
}

show_escape() {
	local host_name groups

	host_name=$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release | tr -d '"')
	[ -n "$host_name" ] || fail "this host has no PRETTY_NAME in /etc/os-release"
	groups=$(env -i PATH="$PATH" id -Gn root)
	say "From inside, chroot_escape runs a command on the host: $host_name."
	expect "PRETTY_NAME=.?${host_name%%[!A-Za-z]*}" gcdboot -c demo.conf enter -- chroot_escape grep PRETTY_NAME /etc/os-release
	say "root's groups are those of the side where it is: no \"cannot find name for group ID 11\"."
	expect 'floppy11 users14' gcdboot -c demo.conf enter -- id -Gn
	expect "^$groups\$" gcdboot -c demo.conf enter -- chroot_escape id -Gn
	if grep -q 'cannot find name' "$work/out"; then
		fail "a group of the OS has come along"
	fi
}

show_stop() {
	say "Stop it, and compare this host's mount table with the one before."
	show gcdboot -c demo.conf stop
	cat /proc/self/mountinfo >after
	typed diff before after
	diff before after || fail "the host's mount table has changed"
	echo "(no difference)"
	gcdboot -c demo.conf status >/dev/null 2>&1
	[ $? = 3 ] || fail "status says that the OS still runs"
	[ -z "$(loop_swaps "$loop")" ] || fail "the OS's swap is still on"
}

if [ -t 1 ]; then
	color=$'\e[1;32m' plain=$'\e[0m'
fi
[ "$(id -u)" = 0 ] || fail "needs root: sudo make demo"

trap cleanup EXIT
# A second ^C must not end the clean-up.
trap 'trap "" INT TERM HUP; exit 130' INT TERM HUP
work=$(mktemp -d /tmp/gcdboot-demo.XXXXXX)
cd "$work" || exit 1
attach_disk
write_conf
refuse_second_os
cat /proc/self/mountinfo >before

show_disk
show_boot
show_inside
show_escape
show_stop
say "That was all. The disk is detached; nothing is left."
