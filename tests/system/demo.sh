#!/bin/bash
# demo: the demo as the README tells it, as an end-to-end test; then ended by ^C and SIGTERM at several points, after which nothing is left.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# nothing_left DESCRIPTION: no process, mount, loop device, swap or file of the demo.
nothing_left() {
	{
		find /tmp -maxdepth 1 -name 'gcdboot-demo.*'
		losetup --list --noheadings --output BACK-FILE | grep gcdboot-demo
		ps -e -o pid=,comm=,args= | awk '$2 ~ /^(gcdboot|svscan|supervise|multilog|readproctitle)$/'
		diff "$T/mounts" /proc/self/mountinfo
		diff "$T/swaps" <(cut -d' ' -f1 /proc/swaps)
	} >"$T/left"
	is "$(cat "$T/left")" '' "$1"
}

# interrupt_after SIGNAL TEXT: runs the demo as a terminal would, in a process group of its own that gets the signal as a whole once TEXT is printed.
interrupt_after() {
	local demo

	setsid env --default-signal=INT,TERM "$repo/tests/demo.sh" >"$T/demo.out" 2>&1 </dev/null &
	demo=$!
	wait_for 60 grep -q -e "$2" "$T/demo.out"
	kill "-$1" -- "-$demo"
	ok "SIG$1 at '$2' ends the demo" wait_gone 30 "$demo"
	wait "$demo"
	is "$?" 130 "with exit status 130"
	nothing_left "and nothing is left"
}

cat /proc/self/mountinfo >"$T/mounts"
cut -d' ' -f1 /proc/swaps >"$T/swaps"

RUN_TIMEOUT=120 run "$repo/tests/demo.sh"
is "$status" 0 "the demo runs to its end"
like "$out" "GCD OS" "it shows the OS"
like "$out" "(no difference)" "and the host's mount table, which is the same"
nothing_left "it leaves nothing"

interrupt_after INT 'partx --show'
interrupt_after INT 'demo.conf check'
interrupt_after INT 'boot --detach'
interrupt_after TERM 'demo.conf status'
interrupt_after INT 'svstat'
interrupt_after INT 'demo.conf stop'

done_testing
