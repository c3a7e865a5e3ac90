#!/bin/bash
# signals: to the supervisor and to the launcher, while the OS is up and while it comes up.
# shellcheck disable=SC2016
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

os_tree
os_disk signals1
disk=$loop

# conf_with SOURCE LINE...: the source, and what follows [root].
conf_with() {
	local source=$1

	shift
	write_conf <<-END
		[root]
		source = $source
		path = $rootdir
		wait = 60s
		$(printf '%s\n' "$@")
	END
}

# started WHAT REGEX COMMAND...: in the background as $boot_pid, until the boot log shows REGEX. As from a person's shell: in a session of its own, with default signals.
started() {
	local what=$1 regex=$2

	shift 2
	rm -f "$boot_log"
	setsid env --default-signal=INT,TERM,HUP "$@" >"$T/boot.out" 2>&1 </dev/null &
	boot_pid=$!
	ok "$what" wait_for 10 grep -q -e "$regex" "$boot_log"
}

# ended WANTED DESCRIPTION: it ends by itself, with this exit status.
ended() {
	wait_gone 15 "$boot_pid"
	wait "$boot_pid"
	is "$?" "$1" "$2"
}

up='[boot]
daemon = /etc/init.d/svscanboot
run = os_process p_daemon daemon
[stop]
run = echo the stop command'

# ---- to the supervisor of an OS that is up

for signal in TERM INT; do
	conf_with LABEL=signals1 "$up"
	host_before
	boot
	is "$status" 0 "detached: the OS is up"
	exec {log_fd}<"$boot_log"
	pid=$(supervisor)
	kill -HUP "$pid"
	run os enter true
	is "$status" 0 "SIGHUP does nothing"
	kill "-$signal" "$pid"
	ok "SIG$signal: the supervisor ends" wait_gone 15 "$pid"
	like "$(cat <&"$log_fd")" 'the stop command' "SIG$signal: the stop commands were run"
	exec {log_fd}<&-
	ok "SIG$signal: no process is left" os_none p_daemon svscan supervise multilog readproctitle
	like "$(file_of "$disk" /var/log/os_process)" 'p_daemon TERM' "SIG$signal: they got TERM"
	host_same "SIG$signal: the host is as before, /run too"
	ok "SIG$signal: the device is free" device_is_free "$disk"
	ok "SIG$signal: the filesystem is clean" filesystem_is_clean "$disk"

	started "in the foreground: up" ' up: ' "$gcdboot" -c "$conf" boot --foreground
	is "$(supervisor)" "$boot_pid" "the process itself is the supervisor"
	kill -HUP "$boot_pid"
	run os status
	is "$status" 0 "SIGHUP does nothing"
	kill "-$signal" "$boot_pid"
	ended 0 "SIG$signal: it ends with exit status 0"
	like "$(cat "$T/boot.out")" 'ok the stop command|ok echo the stop command' "SIG$signal: it shows the stop"
	rm "$T/boot.out"
	host_same "SIG$signal: the host is as before"
	ok "SIG$signal: the device is free" device_is_free "$disk"
done

# Signals one after the other: the second one finds a stop that goes on.
conf_with LABEL=signals1 '[boot]' 'run = os_process p_ignore daemon ignore' '[stop]' 'timeout = 2s'
host_before
boot
pid=$(supervisor)
for signal in TERM INT TERM HUP; do
	kill "-$signal" "$pid"
done
ok "several signals at once: the supervisor ends" wait_gone 15 "$pid"
ok "the process that ignores TERM is gone" os_none p_ignore
host_same "the host is as before"

# A stop that is asked for while a signal's stop goes on, and the other way round.
boot
pid=$(supervisor)
kill -TERM "$pid"
stop
is "$status" 0 "stop while SIGTERM's stop goes on: exit 0"
ok "the supervisor is gone" bash -c "! kill -0 $pid"
host_same "the host is as before"

# ---- to the launcher, in the middle of a boot

# undone SIGNAL WHERE: ^C goes to the launcher alone, as the supervisor is in a session of its own.
undone() {
	kill "-$1" "$boot_pid"
	ended 1 "SIG$1 to the launcher, $2: exit status 1"
	like "$(cat "$T/boot.out")" 'gcdboot: stopped before the OS was up; everything is undone' "it says that everything is undone"
	rm "$T/boot.out"
	rm -f "$boot_log"
	rmdir "$rundir" /run/gcdboot 2>/dev/null
	host_same "and it is"
	ok "the device is free" device_is_free "$disk"
	run os status
	is "$status" 3 "nothing runs"
}

sleeper='[boot]
daemon = /etc/init.d/svscanboot
run = os_process p_daemon session namespace daemon
run = echo asleep; sleep 100'
for signal in INT TERM; do
	conf_with LABEL=signals-none
	host_before
	started "a boot that waits for its disk" 'begin finding' "$gcdboot" -c "$conf"
	undone "$signal" "while it waits for the disk"

	conf_with LABEL=signals1 "$sleeper"
	started "a boot whose command sleeps" '^asleep' "$gcdboot" -c "$conf"
	undone "$signal" "while a boot command runs"
	ok "no process is left" os_none p_daemon svscan supervise sleep
done
started "in the foreground" '^asleep' "$gcdboot" -c "$conf" boot --foreground
undone INT "that is the supervisor itself, while a boot command runs"

# ^C as the terminal sends it: to the whole group in the foreground.
started "a boot" '^asleep' "$gcdboot" -c "$conf"
kill -INT -- "-$boot_pid"
ended 1 "SIGINT to the launcher's process group"
rm -f "$boot_log" "$T/boot.out"
rmdir "$rundir" /run/gcdboot
host_same "everything is undone"

# The end of the terminal is no reason to stop a boot.
conf_with LABEL=signals1 '[boot]' 'run = echo asleep; until [ -e /tmp/go ]; do usleep 10000; done; rm /tmp/go'
for signal in HUP KILL; do
	started "a boot whose command waits" '^asleep' "$gcdboot" -c "$conf"
	kill "-$signal" "$boot_pid"
	wait "$boot_pid" 2>/dev/null
	os enter touch /tmp/go
	ok "SIG$signal to the launcher: the boot goes on" wait_for 10 grep -q ' up: ' "$boot_log"
	run os status
	is "$status" 0 "status: up"
	stop
	is "$status" 0 "and can be stopped"
	rm -f "$T/boot.out"
	host_same "the host is as before"
done

# A launcher whose output nobody reads.
conf_with LABEL=signals1 "$up"
{ "$gcdboot" -c "$conf" boot --detach 2>&1 || echo "status $?" >"$T/piped"; } | true
wait_for 10 grep -q ' up: ' "$boot_log"
run os status
is "$status" 0 "an output that was closed does not stop the boot"
stop
rm -f "$T/piped"
host_same "the host is as before"

done_testing
