#!/bin/bash
# takeover: the supervisor is killed: while the OS is up (it lives on, and is taken over, or stopped), while it comes up, and with the machine.
# shellcheck disable=SC2016
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

os_tree
printf '#!/bin/sh\nexec "$@" </dev/null >/dev/null 2>&1 &\n' >"$T/tree/sbin/background"
chmod 755 "$T/tree/sbin/background"
os_disk takeover1
disk=$loop

conf_with() {
	write_conf <<-END
		[root]
		source = LABEL=takeover1
		path = $rootdir
		wait = 2s
		$(printf '%s\n' "$@")
	END
}

# A process with a mount namespace of its own, as the first one: the OS must not be looked for there.
default=('[boot]' 'run = background os_process p_ns namespace' 'daemon = /etc/init.d/svscanboot' 'run = os_process p_daemon daemon' '[stop]'
	'run = echo stop >/var/log/stop')

# killed: boots the OS, and kills the supervisor.
killed() {
	host_before
	boot
	is "$status" 0 "the OS is up"
	wait_for 10 eval '! os_none p_ns'
	old=$(supervisor)
	kill -KILL "$old"
	wait_gone 5 "$old"
}

# all_gone WHAT: stopped, and nothing left.
all_gone() {
	stop
	is "$status" 0 "$1: stop: exit 0"
	ok "$1: no process is left" os_none p_daemon p_ns svscan supervise multilog readproctitle
	is "$(file_of "$disk" /var/log/stop)" stop "$1: the stop commands were run"
	like "$(file_of "$disk" /var/log/os_process)" 'p_daemon TERM' "$1: the processes got TERM"
	host_same "$1: the host is as before"
	ok "$1: the device is free" device_is_free "$disk"
	ok "$1: the filesystem is clean" filesystem_is_clean "$disk"
	run os status
	is "$status" 3 "$1: status: not running"
	debugfs -w -R 'rm /var/log/stop' "$disk" >"$T/debugfs" 2>&1
	debugfs -w -R 'rm /var/log/os_process' "$disk" >"$T/debugfs" 2>&1
	rm "$T/debugfs"
}

# works WHAT: the OS does what an OS does.
works() {
	run os enter cat /etc/hostname
	is "$status $out" "0 $(cat "$T/tree/etc/hostname")" "$1: enter works"
	is "$(readlink "/proc/$(os_pids svscan)/ns/mnt")" "$(os enter readlink /proc/self/ns/mnt)" "$1: and leads into the OS's own namespace"
	wait_for 10 os enter svok /service/clock
	ok "$1: the services run" os enter svok /service/clock
	run os enter chroot_escape readlink /proc/self/ns/mnt
	is "$status $out" "0 $(readlink /proc/self/ns/mnt)" "$1: chroot_escape works"
}

# ---- the supervisor of an OS that is up

conf_with "${default[@]}"
killed
run os status
is "$status" 4 "the supervisor was killed: status: exit 4"
like "$out" "supervisor +gone \(pid $old was killed\)" "it says that the supervisor is gone"
like "$out" 'svscan' "and what runs"
like "$out" "$disk on $rootdir" "and from where"
run os status --json
is "$status" 4 "status --json too"
works "without a supervisor"
all_gone "stopped without a supervisor"

killed
run os boot --detach
is "$status" 0 "gcdboot takes it over: exit 0"
like "$err" "taken over: .*$disk.*\(pid $old\)" "and says so"
new=$(supervisor)
ok "there is a new supervisor" kill -0 "$new"
ok "which is another one" test "$new" != "$old"
run os status
is "$status" 0 "status: up"
like "$out" "supervisor +pid $new" "with the new supervisor"
works "taken over"
run os enter chroot_escape --method=control true
is "$status" 0 "the new control socket answers"
run os boot --detach
is "$status" 0 "gcdboot again: exit 0"
like "$err" "already running since .*, pid $new" "it is running already"
all_gone "stopped after a take-over"

# Daemons are watched after a take-over as before it.
killed
run os boot --detach
is "$status" 0 "taken over"
# shellcheck disable=SC2046
kill -KILL $(os_pids svscanboot sh) 2>/dev/null
# shellcheck disable=SC2046
[ -z "$(os_pids svscan)" ] || kill -KILL $(os_pids svscan readproctitle) 2>/dev/null
# shellcheck disable=SC2317
degraded() {
	os status >/dev/null
	[ $? = 4 ]
}
ok "svscanboot is killed: status: exit 4" wait_for 10 degraded
like "$(cat "$boot_log")" "the daemon '/etc/init.d/svscanboot' \(pid [0-9]+\) has ended" "and the boot log says so"
all_gone "stopped after the daemon's death"

# It dies while there is no supervisor.
killed
# shellcheck disable=SC2046
kill -KILL $(os_pids svscanboot sh) $(os_pids svscan readproctitle) 2>/dev/null
run os boot --detach
is "$status" 0 "taken over after the daemon's death"
like "$err" degraded "which is said"
run os status
is "$status" 4 "status: exit 4"
all_gone "stopped after that"

# Once more: the second supervisor is killed, too.
killed
run os boot --detach
old=$(supervisor)
kill -KILL "$old"
wait_gone 5 "$old"
run os status
is "$status" 4 "the second supervisor is killed"
run os boot --detach
like "$status $err" "^0 .*taken over: .*\(pid $old\)" "and a third one takes over"
kill -TERM "$(supervisor)"
ok "SIGTERM to the third one stops the OS" wait_for 15 os_none p_daemon svscan gcdboot
ok "nothing is left" wait_for 5 test ! -e /run/gcdboot
host_same "the host is as before"
ok "the device is free" device_is_free "$disk"

# In the foreground, and two at once.
killed
os boot --detach >"$T/one" 2>&1 &
one=$!
os boot --detach >"$T/two" 2>&1 &
wait "$one"
is "$?" 0 "two gcdboot at once: one exits 0"
wait "$!"
is "$?" 0 "so does the other"
is "$(cat "$T/one" "$T/two" | grep -c 'taken over')" 1 "one of them has taken it over"
rm "$T/one" "$T/two"
all_gone "stopped after two at once"

killed
setsid "$gcdboot" -c "$conf" boot --foreground >"$T/foreground" 2>&1 </dev/null &
foreground=$!
ok "taken over in the foreground" wait_for 10 grep -q 'taken over' "$T/foreground"
works "in the foreground"
rm "$T/foreground"
all_gone "stopped in the foreground"
wait "$foreground"
is "$?" 0 "the foreground ends with exit status 0"

# ---- nothing of it lives any more

killed
# shellcheck disable=SC2046
kill -KILL $(os_pids p_ns p_daemon) $(os_pids svscanboot sh svscan readproctitle supervise multilog) 2>/dev/null
ok "all processes are killed" wait_for 5 os_none p_ns p_daemon svscan supervise multilog
# What supervise restarted meanwhile.
# shellcheck disable=SC2046
wait_for 5 eval 'pids=$(os_pids run sh sleep multilog readproctitle); [ -z "$pids" ] || { kill -KILL $pids; false; }'
run os status
is "$status" 3 "status: not running"
boot
is "$status" 0 "gcdboot boots it anew"
unlike "$err" 'taken over' "and takes nothing over"
works "booted anew"
stop
is "$status" 0 "and stops"
host_same "the host is as before"

# ---- the machine was restarted meanwhile: /run may be a disk's directory

killed
mkdir "$T/kept"
cp -a "$rundir/." "$T/kept"
all_gone "before the restart"
sed -i 's/^boot-id .*/boot-id 00000000-0000-0000-0000-000000000000/' "$T/kept/state"
for what in status enter stop boot; do
	mkdir -p /run/gcdboot
	cp -a "$T/kept" "$rundir"
	case $what in
	status)
		run os status
		is "$status" 3 "after a restart: status: not running"
		;;
	enter)
		run os enter true
		is "$status" 1 "after a restart: enter fails"
		like "$err" 'not running' "and says why"
		;;
	stop)
		stop
		is "$status" 0 "after a restart: stop: exit 0"
		host_same "and nothing is left"
		;;
	boot)
		boot
		is "$status" 0 "after a restart: boots"
		unlike "$err" 'taken over' "and takes nothing over"
		stop
		is "$status" 0 "and stops"
		host_same "and nothing is left"
		;;
	esac
	rm -rf "$rundir"
done
rm -r "$T/kept"

# The same pids, or so it looks: processes of the host have the numbers that the state names.
rmdir /run/gcdboot 2>/dev/null
killed
cp -a "$rundir" "$T/kept"
all_gone "before that"
sleep 106 &
bystander=$!
host_before
mkdir -p /run/gcdboot
sed -i "s/^pid .*/pid $bystander/" "$T/kept/state"
cp -a "$T/kept" "$rundir"
stop
is "$status" 0 "a state whose pid is somebody else's by now: stop: exit 0"
ok "who is not touched" kill -0 "$bystander"
kill "$bystander"
wait "$bystander" 2>/dev/null
rm -rf /run/gcdboot "$T/kept"

# ---- killed on the way up

for step in finding command; do
	conf_with '[boot]' 'daemon = /etc/init.d/svscanboot' 'run = echo asleep; sleep 100'
	[ $step = command ] || sed -i 's/LABEL=takeover1/LABEL=takeover-none/; s/^wait.*/wait = 60s/' "$conf"
	rm -rf /run/gcdboot
	host_before
	os boot --detach >"$T/out" 2>&1 &
	launcher=$!
	if [ $step = finding ]; then
		wait_for 10 grep -q 'begin finding' "$boot_log"
	else
		wait_for 10 grep -q '^asleep' "$boot_log"
	fi
	old=$(supervisor)
	kill -KILL "$old"
	wait "$launcher"
	is "$?" 1 "killed while $step: the launcher's exit status is 1"
	like "$(cat "$T/out")" 'gcdboot: the supervisor was killed' "and it says why"
	rm "$T/out"
	cat /proc/self/mountinfo >"$T/mounts"
	same <(grep -v '^[^0-9]' "$T/host.before" | grep -E '^[0-9]+ ') "$T/mounts" "no mount is left on the host"
	run os status
	if [ $step = finding ]; then
		is "$status" 3 "status: not running"
	else
		is "$status" 4 "status: it lives on, half booted"
	fi
	sed -i 's/^wait.*/wait = 1s/' "$conf"
	run os boot --detach
	if [ $step = finding ]; then
		is "$status" 1 "the next boot looks for its disk again"
		rm -f "$boot_log"
	else
		is "$status" 0 "the next gcdboot takes over what lives"
	fi
	stop
	is "$status" 0 "stop: exit 0"
	ok "no process is left" os_none svscan supervise sleep
	rm -rf /run/gcdboot
	host_same "the host is as before"
	ok "the device is free" device_is_free "$disk"
done

done_testing
