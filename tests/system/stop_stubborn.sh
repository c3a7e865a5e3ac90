#!/bin/bash
# stop_stubborn: a stop against processes that do not want to end, and against processes of the host that hold the disk: it ends within its time, names them, and can be
# done again.
# shellcheck disable=SC2016
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

# A stop that hangs is ended by then, with status 124.
RUN_TIMEOUT=30

os_tree
printf '#!/bin/sh\nexec "$@" </dev/null >/dev/null 2>&1 &\n' >"$T/tree/sbin/background"
chmod 755 "$T/tree/sbin/background"
os_disk stop2
disk=$loop

# conf_with KEY...: the lines of [boot] and what follows.
conf_with() {
	write_conf <<-END
		[root]
		source = LABEL=stop2
		path = $rootdir
		wait = 2s
		[boot]
		$(printf '%s\n' "$@")
	END
}

# ---- processes that resist

conf_with 'run = background os_process p_ignore ignore' 'run = background os_process p_respawn session respawn' 'run = background os_process p_chain daemon chain' \
	'run = background os_process p_ns ignore namespace daemon' 'run = background os_process p_polite' '[stop]' 'timeout = 2s'
host_before
boot
is "$status" 0 "the OS boots, with processes that ignore TERM, fork, and fork on"
for name in p_ignore p_respawn p_chain p_ns p_polite; do
	wait_for 10 os enter grep -q "^$name ready" /var/log/os_process
done
stop
is "$status" 0 "stop ends them all"
like "$err" 'ok ending the processes of the OS: some had to be killed' "it says that some had to be killed"
ok "none is left" os_none p_ignore p_respawn p_chain p_ns p_polite
like "$(file_of "$disk" /var/log/os_process)" 'p_polite TERM' "the one that obeys has had its time"
host_same "nothing is left"
ok "the device is free" device_is_free "$disk"
ok "the filesystem is clean" filesystem_is_clean "$disk"

# --timeout is the deadline in the configuration's place: with ten minutes there this would not end.
conf_with 'run = background os_process p_ignore ignore' '[stop]' 'timeout = 600s'
boot
stop --timeout=1s
is "$status" 0 "stop --timeout=1s kills after that time"
ok "none is left" os_none p_ignore
for time in 0 1x -1 1h; do
	stop "--timeout=$time"
	is "$status" 2 "--timeout=$time is refused"
	like "$err" '--timeout: expected ' "with what is allowed"
done

# A stop command that does not end is left to the signals.
conf_with 'run = true' '[stop]' 'run = echo waits; sleep 100' 'run = echo never; sleep 100' 'timeout = 2s'
host_before
boot
exec {log_fd}<"$boot_log"
stop
is "$status" 0 "a stop command that hangs does not stop the stop"
like "$(cat <&"$log_fd")" 'FAILED echo waits; sleep 100: still running' "and is told"
exec {log_fd}<&-
ok "its process is gone" bash -c '! pgrep -f "[s]leep 100"'
host_same "nothing is left"

# ---- processes of the host that hold the disk

# boot_plain: with a process to go in through.
boot_plain() {
	boot
	wait_for 10 eval '! os_none p_plain'
}

# hold WHAT PATH: sets $holder.
hold() {
	rm -f "$T/holder.out"
	"$helpers/holder" "$(os_pids p_plain)" "$1" "$2" >"$T/holder.out" &
	holder=$!
	wait_for 10 grep -q holding "$T/holder.out"
}

# let_go: the holder ends.
let_go() {
	kill -KILL "$holder"
	wait "$holder" 2>/dev/null
}

# stuck_then_free WHAT REGEX: a stop fails and names the holder; once that is gone, the next one does the rest.
stuck_then_free() {
	local what=$1 regex=$2

	stop
	is "$status" 1 "$what: stop fails, and ends"
	like "$err" "$regex" "$what: it names the process, and what it holds"
	like "$err" "gcdboot: .*($rootdir|$disk)" "$what: and what could not be given back"
	ok "$what: the holder is not touched" kill -0 "$holder"
	run os status
	is "$status" 4 "$what: status knows that something is left"
	if [ "$what" = fd ]; then
		stop
		is "$status" 1 "$what: a stop again fails again"
		like "$err" "$regex" "$what: with the same words"
	fi
	let_go
	stop
	is "$status" 0 "$what: with the holder gone a stop succeeds"
	ok "$what: the device is free" device_is_free "$disk"
	ok "$what: the filesystem is clean" filesystem_is_clean "$disk"
	host_same "$what: nothing is left"
	rm -rf "$rundir"
}

conf_with 'run = background os_process p_plain' '[stop]' 'timeout = 1s'
held() {
	host_before
	boot_plain
	hold "$1" "$2"
	stuck_then_free "$1" "$3"
}
held fd /etc/hostname "pid [0-9]+ \(holder\): has open as descriptor [0-9]+ $rootdir/etc/hostname"
like "$(grep -c . "$T/holder.out")" 1 "one holder"
held cwd /etc "pid [0-9]+ \(holder\): has as working directory $rootdir/etc"
held map /etc/passwd "pid [0-9]+ \(holder\): has mapped $rootdir/etc/passwd"

# A shell of the host that has looked into the OS through /proc.
host_before
boot_plain
pid=$(os_pids p_plain)
rm -f "$T/holder.out"
bash -c 'cd "/proc/$1/root/etc" && exec 9<"/proc/$1/root/etc/passwd" && echo holding && exec sleep 100' - "$pid" >"$T/holder.out" &
holder=$!
wait_for 10 grep -q holding "$T/holder.out"
stuck_then_free "a shell" "pid $holder \(sleep\): has as working directory $rootdir/etc.*pid $holder \(sleep\): has open as descriptor 9 $rootdir/etc/passwd"

# An escaped process that still writes into the OS.
conf_with 'run = chroot_escape sleep 100 </dev/null >/var/log/escaped 2>&1 &' '[stop]' 'timeout = 1s'
host_before
boot
wait_for 10 pgrep -f 'sleep 100'
holder=$(pgrep -f 'sleep 100$')
wait_for 10 bash -c "[ \"\$(readlink /proc/$holder/ns/mnt)\" = \"\$(readlink /proc/self/ns/mnt)\" ]"
stuck_then_free "an escaped process" "pid $holder \(sleep\): has open as descriptor [12] $rootdir/var/log/escaped"

# An escaped process with no more than the OS's /dev/null: that is the host's own device.
conf_with 'run = chroot_escape sleep 100 </dev/null >/dev/null 2>&1 &' '[stop]' 'timeout = 1s'
host_before
boot
wait_for 10 pgrep -f 'sleep 100'
holder=$(pgrep -f 'sleep 100$')
wait_for 10 bash -c "[ \"\$(readlink /proc/$holder/ns/mnt)\" = \"\$(readlink /proc/self/ns/mnt)\" ]"
stop
is "$status" 0 "an escaped process with the OS's /dev/null does not hold the disk"
ok "it lives on" kill -0 "$holder"
let_go
stop
rm -rf "$rundir"

# A host process of the same name of directory is no holder: it stands on the host's own mount point, not on the disk.
mkdir "$rootdir"
(cd "$rootdir" && exec sleep 104) &
bystander=$!
conf_with 'run = background os_process p_plain' '[stop]' 'timeout = 1s'
host_before
boot_plain
hold fd /etc/hostname
stop
is "$status" 1 "held, with a bystander in the mount point's directory on the host"
like "$err" "pid $holder \(holder\)" "the holder is named"
unlike "$err" "pid $bystander " "the bystander is not"
ok "and not touched" kill -0 "$bystander"
let_go
stop
is "$status" 0 "then it succeeds"
kill -KILL "$bystander"
wait "$bystander" 2>/dev/null
rmdir "$rootdir"

# The namespace alone, by a descriptor, holds nothing that was unmounted. The supervisor before it has answered, and may be on its way out still.
wait_for 10 os_none gcdboot
host_before
boot_plain
hold ns /
stop
is "$status" 0 "a descriptor of the namespace does not hold the disk"
ok "the device is free" device_is_free "$disk"
let_go
host_same "nothing is left"

# ---- a process of the host that mounts the disk itself, in a namespace of its own: not the OS's, not touched, but named

host_before
boot
mkdir "$T/mine"
unshare -m --propagation private sh -c 'mount "$1" "$2" && exec sleep 105' - "$disk" "$T/mine" &
mounter=$!
wait_for 10 grep -q "$T/mine" "/proc/$mounter/mountinfo"
stop
is "$status" 1 "mounted by another on the host: stop fails"
like "$err" "pid $mounter \(sleep\)" "it is named"
ok "and not touched" kill -0 "$mounter"
kill -KILL "$mounter"
wait "$mounter" 2>/dev/null
rmdir "$T/mine"
stop
is "$status" 0 "with it gone a stop succeeds"
host_same "nothing is left"
rm -rf "$rundir"

# ---- the same by a signal: the supervisor ends, and the next stop is told what is left

host_before
boot_plain
hold fd /etc/hostname
pid=$(supervisor)
kill -TERM "$pid"
ok "SIGTERM, while the disk is held: the supervisor ends" wait_gone 10 "$pid"
like "$(cat "$boot_log")" "pid $holder \(holder\): has open as descriptor" "the log names the holder"
stop
is "$status" 1 "a stop then says that the disk is held still"
like "$err" "pid $holder \(holder\)" "and by whom"
run os boot --detach
is "$status" 1 "a boot is refused"
let_go
stop
is "$status" 0 "with the holder gone a stop clears up"
ok "the device is free" device_is_free "$disk"
host_same "nothing is left"
ok "not even the log" test ! -e "$rundir"
rm -rf "$rundir"

done_testing
