#!/bin/bash
# wsl_os: an OS that is up on WSL: Windows programs in it whatever session ends, two mount namespaces, a closed terminal, a disk that is pulled out.
# Functions are called through `ok` and `run`.
# shellcheck disable=SC2119,SC2016,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"
# shellcheck source=tests/system/wsl.bash
. "$lib_dir/wsl.bash"

wsl_tree
# What sshd does: a process far below the supervisor, whose parent has ended, runs with an empty environment. It does so whenever it is asked.
cat >"$T/tree/sbin/logind" <<-'END'
	#!/bin/sh
	(while sleep 0.1; do
		[ ! -e /root/ask ] || { rm /root/ask && winver >/root/answer.new 2>&1; mv /root/answer.new /root/answer; }
	done) &
END
chmod 755 "$T/tree/sbin/logind"
# A label of its own: the machine may have another disk of this test at the same time.
label=wslos$RANDOM
make_image "$T/disk.img" "$label" 16 "$T/tree"
wsl_host
first=$served
wsl_disk "$T/disk.img"

conf_os() {
	write_conf <<-END
		[root]
		source = LABEL=$label
		path = $rootdir
		wait = 20s
		[env]
		pass = WSL* TERM LANG
		[boot]
		run = logind
		daemon = os_process p_daemon
		[wsl]
		attach = \\\\.\\PHYSICALDRIVE1
		detach = yes
		$(printf '%s\n' "$@")
	END
}

# login_runs REGEX: what a login inside gets from a program of Windows.
login_runs() {
	os enter -- sh -c 'rm -f /root/answer; : >/root/ask; i=0; until [ -e /root/answer ] || [ $i = 300 ]; do sleep 0.1; i=$((i + 1)); done; cat /root/answer' | grep -qE "$1"
}

leads_to() {
	[ "$(readlink "$link")" = "/run/WSL/$1" ]
}

# ---- an interop socket that lives

wsl_conf
conf_os
host_table "$T/table.before"
wsl_serve 50_interop
session=$served
WSL_INTEROP=/run/WSL/50_interop boot
is "$status" 0 "boots from a session of its own"
link=/run/WSL/$(supervisor)_interop
ok "a link with the supervisor's number leads to that session's socket" leads_to 50_interop
ok "a program of Windows runs in a login" login_runs 'Microsoft Windows'
wsl_unserve "$session"
ok "the session is killed, and its socket dead: the link leads to another" wait_for 60 leads_to 1_interop
ok "a program runs as before" login_runs 'Microsoft Windows'
run os enter -- sh -c 'echo $WSL_INTEROP'
is "$out" "$link" "enter gives the link"
rm /run/WSL/50_interop
wsl_serve 60_interop
second=$served
rm /run/WSL/1_interop
wsl_unserve "$first"
ok "a socket is removed: at once to another" wait_for 10 leads_to 60_interop
wsl_unserve "$second"
rm /run/WSL/60_interop
ok "none lives: there is no link" wait_for 10 test ! -L "$link"
run os enter -- sh -c 'echo "${WSL_INTEROP-none}"'
is "$out" none "and enter gives none"
wsl_serve 1_interop
ok "one comes: there is a link again" wait_for 10 leads_to 1_interop
ok "and a program runs" login_runs 'Microsoft Windows'

# ---- the other mount namespace of the distribution

other() {
	timeout 60 unshare -m --propagation private "$gcdboot" -c "$conf" "$@"
}
run other status
is "$status" 0 "status works from another mount namespace"
run other enter -- cat /etc/os-release
like "$out" "GCD" "enter, too"
like "$(os enter -- cat /proc/self/mountinfo)" " /mnt/c " "the drive is there, inside"

# ---- a take-over

pid=$(supervisor)
kill -KILL "$pid"
wait_gone 10 "$pid"
boot
like "$err" "taken over" "the supervisor is killed, and another takes over"
ok "it keeps up the old link, which the OS's processes have in their environment" wait_for 10 leads_to 1_interop
run os enter -- sh -c 'cd /mnt/c && Windows/System32/cmd.exe /c ver'
like "$out" "Microsoft Windows" "a program runs in it"
run other stop
is "$status" 0 "stop works from another mount namespace, after a take-over"
like "$err" "ok detaching" "and detaches what the first supervisor had attached"
ok "the link is gone" test ! -L "$link"
ok "and the disk is back" test ! -e "$T/plugged"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "the mount table is as it was"

# ---- a socket of that number is WSL's own

wsl_conf
boot
link=/run/WSL/$(supervisor)_interop
"$windows" dead /run/WSL/dead_interop
mv -f /run/WSL/dead_interop "$link"
ok "a dead socket in the link's place, of who had this number before, makes room" wait_for 10 leads_to 1_interop
wsl_serve alive_interop
mv -f /run/WSL/alive_interop "$link"
wsl_serve 70_interop
stop
is "$status" 0 "stop"
ok "a living one is left alone" test -S "$link"
rm "$link" /run/WSL/70_interop

# ---- started from anywhere, and the session closed

mkdir "$T/gone"
(cd "$T/gone" && rmdir "$T/gone" && exec setsid env -i WSL_DISTRO_NAME=x "$gcdboot" -c "$conf" <&- >"$T/fg.out" 2>&1) &
ok "in the foreground, from a directory that is gone, without a terminal" wait_for 30 grep -q '^gcdboot: up: ' "$T/fg.out"
pid=$(supervisor)
kill -HUP "$pid"
run os status
is "$status" 0 "SIGHUP does not end it"
stop
is "$status" 0 "stop ends it"
ok "and the session with it" wait_gone 10 "$pid"

script -qfc "$gcdboot -c $conf" /dev/null >"$T/tty.out" 2>&1 </dev/null &
tty_pid=$!
ok "in the foreground, on a terminal" wait_for 30 grep -q 'up: ' "$T/tty.out"
pid=$(supervisor)
kill -KILL "$tty_pid"
wait "$tty_pid" 2>/dev/null
# Its end is told on a terminal that is not there.
kill "$(os_pids p_daemon)"
ok "the terminal is closed: the end of a daemon is told nobody" wait_for 10 grep -q "the daemon .*p_daemon.* has ended" "$boot_log"
run os status
like "$out" "supervisor +pid $pid" "and the OS lives on, and its supervisor"
stop
is "$status" 0 "until it is stopped"

"$gcdboot" -c "$conf" 2> >(head -n 1 >"$T/first") &
ok "in the foreground, with a reader that goes away" wait_for 30 grep -q '^phase up' "$rundir/state"
kill "$(os_pids p_daemon)"
ok "the end of a daemon is told nobody" wait_for 10 grep -q "the daemon .*p_daemon.* has ended" "$boot_log"
run os status
like "$out" "supervisor +pid $(supervisor)" "the OS lives on"
stop
is "$status" 0 "until it is stopped"

# ---- the disk is pulled out. Here it is only the kernel's list that has lost it.

wsl_conf
boot
is "$status" 0 "boots"
mount -t tmpfs none /sys/dev/block
run os status
is "$status" 4 "the disk is gone: status says 4"
like "$out" "disk +GONE: it was taken away" "and in words"
run os status --json
like "$out" '"device-present": false' "and as JSON"
like "$out" '"degraded": true' "degraded"
printf '%s\n' 'answer detach ERROR_SOMETHING' >>/run/windows/conf
run os stop
is "$status" 1 "stop ends, and does not call it success"
like "$err" "its disk $(cat "$T/plugged") was gone before that: what had not been written to it is lost" "it says why"
like "$err" "ok unmounting" "everything is unmounted"
like "$err" "ok detaching .*: it is gone already" "a detach that fails is no news"
run os stop
like "$status $err" "^0 .*not running" "a second stop has nothing to do"
umount /sys/dev/block
wsl_no_disk
wsl_conf
boot
is "$status" 0 "it boots again"
kill "$(supervisor)"
ok "and is stopped" wait_for 20 test ! -e "$rundir/lock"
wsl_no_disk

# ---- while the disk is being attached

wsl_conf 'delay 2000'
rm -f "$boot_log"
os boot -d >"$T/boot.out" 2>&1 &
boot_pid=$!
ok "wsl.exe takes its time" wait_for 20 grep -q 'begin attaching' "$boot_log"
ok "the state knows of the drive meanwhile" wait_for 20 grep -q '^attached ' "$rundir/state"
stop
wait "$boot_pid"
is "$?" 1 "the boot is stopped"
like "$(cat "$T/boot.out")" "ok detaching" "and what it had attached is given back, when wsl.exe is done"
ok "really" test ! -e "$T/plugged"
rm -f "$boot_log"
: >/run/windows/log
os boot -d >"$T/boot.out" 2>&1 &
boot_pid=$!
wait_for 20 grep -q '^attached ' "$rundir/state"
kill -KILL "$(supervisor)"
wait "$boot_pid"
ok "the supervisor is killed: wsl.exe goes on to its end" wait_for 20 grep -q -e '--mount .* -> 0' /run/windows/log
stop
ok "and stop gives the disk back" wait_for 10 test ! -e "$T/plugged"
wsl_no_disk

# ---- Windows hangs at the stop

wsl_conf
conf_os '[stop]' 'timeout = 2s'
boot
echo 'hang wsl.exe' >>/run/windows/conf
run os stop
is "$status" 0 "stop ends where wsl.exe hangs"
like "$err" "FAILED detaching" "tells that the disk was not taken back"
like "$err" "wsl.exe did not end in time; on Windows, as administrator, type: wsl.exe --unmount" "and what to type"
wsl_no_disk

# ---- mount = host: the mounts are in the one namespace, and the stop comes from the other

wsl_conf
conf_os '[namespace]' 'mount = host'
host_table "$T/table.before"
unshare -m --propagation private sleep 1000 &
sleeper=$!
boot
is "$status" 0 "mount = host: boots"
kill -KILL "$(supervisor)"
wait_gone 10 "$(supervisor)"
# One that was there before: it does not see these mounts.
run nsenter -m -t "$sleeper" "$gcdboot" -c "$conf" stop
is "$status" 0 "a stop from the other namespace, without a supervisor"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "unmounts what is mounted here"
ok "and gives the disk back" test ! -e "$T/plugged"
kill "$sleeper"
wsl_no_disk

# ---- not WSL

umount /mnt/c
wsl_plug
boot
is "$status" 0 "without a drive of Windows it is no WSL"
ok "no link is made" test -z "$(find /run/WSL -type l)"
# poll(2)'s third argument.
ok "and the idle supervisor sleeps for ever" wait_for 10 grep -qE '^[0-9]+ 0x[0-9a-f]+ 0x[0-9a-f]+ 0x(ffffffff)?ffffffff ' "/proc/$(supervisor)/syscall"
stop
wsl_pull

done_testing
