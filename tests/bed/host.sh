# shellcheck shell=bash
# host.sh: what tests must leave as they found it. Sourced by the system tests' library and by tests/run.

# host_snapshot: this machine's mount table, loop devices, swap and /run, as text. Two of them are compared byte for byte.
# BED_SHARED=1 is for a machine where others attach loop devices and write to /run at the same time: only what gcdboot could have left counts then.
host_snapshot() {
	echo "# mounts"
	cat /proc/self/mountinfo
	echo "# loop devices"
	[ -n "${BED_SHARED:-}" ] || losetup --list --noheadings --raw --output NAME,BACK-FILE,OFFSET
	echo "# swap"
	[ -n "${BED_SHARED:-}" ] || tail -n +2 /proc/swaps | cut -f1 | cut -d' ' -f1
	echo "# /run"
	# What udev and systemd note down of each device that comes and goes is theirs.
	find /run -xdev \( -path /run/udev -o -path /run/systemd \) -prune -o ${BED_SHARED:+-path '*gcdboot*'} -printf '%y %m %p %l\n' 2>/dev/null | LC_ALL=C sort
}

# host_processes PID_NAMESPACE: the processes that are left in a pid namespace, as "pid name".
host_processes() {
	local dir

	for dir in /proc/[0-9]*; do
		if [ "$(readlink "$dir/ns/pid" 2>/dev/null)" = "$1" ]; then
			echo "${dir#/proc/} $(cat "$dir/comm" 2>/dev/null)"
		fi
	done
}

# host_settles BEFORE AFTER SECONDS: takes snapshots into the file AFTER until it is the same as BEFORE. The kernel frees a loop device and a dead
# namespace's mounts a moment after their last user has gone.
host_settles() {
	local before=$1 after=$2 end=$((SECONDS + $3))

	while :; do
		host_snapshot >"$after"
		cmp -s "$before" "$after" && return 0
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}
