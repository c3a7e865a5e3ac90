#!/bin/bash
# namespace_host: [namespace] mount = host: the OS's mounts are the host's; how many, seen by whom, and that all of them go again.
# shellcheck disable=SC2016
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

os_tree
make_image "$T/data.img" nshost-data 8 -
attach "$T/data.img"
data=$loop
printf '%s\n' "$data /data ext4 defaults 0 2" >"$T/tree/etc/fstab"
os_disk nshost1
disk=$loop

conf_with() {
	write_conf <<-END
		[root]
		source = LABEL=nshost1
		path = $rootdir
		wait = 2s
		[namespace]
		mount = host
		[boot]
		$(printf '%s\n' "$@")
	END
}

default=('run = mount -a -t ext4' 'daemon = /etc/init.d/svscanboot' 'run = os_process p_daemon daemon' 'run = os_process p_ns namespace daemon')

# How many mounts the host has at or below the root, and what its table is without them.
count_in_root() {
	awk -v root="$rootdir" '$5 == root || index($5, root "/") == 1' /proc/self/mountinfo | wc -l
}

table_without_root() {
	awk -v root="$rootdir" '!($5 == root || index($5, root "/") == 1)' /proc/self/mountinfo
}

bound() {
	os status --json | sed -n 's/.*"bound": *\([0-9]*\).*/\1/p'
}

gone() {
	ok "$1: no process is left" os_none p_daemon p_ns svscan supervise multilog readproctitle
	host_same "$1: the host's table, /run and the rest are as before"
	ok "$1: the device is free" device_is_free "$disk"
	ok "$1: the second one too" device_is_free "$data"
	ok "$1: the filesystem is clean" filesystem_is_clean "$disk"
	ok "$1: the container lives" kill -0 "$container"
	is "$(grep -c " $rootdir" "/proc/$container/mountinfo")" 0 "$1: and has none of its mounts any more"
}

add_host_mounts
for shape in shared private; do
	host_shape "$shape"
	# As a service of the host with a namespace of its own: what is mounted on a shared host comes to it, too.
	unshare -m --propagation slave sleep 107 &
	container=$!
	wait_for 5 bash -c "[ \"\$(readlink /proc/$container/ns/mnt)\" != \"\$(readlink /proc/self/ns/mnt)\" ]"
	conf_with "${default[@]}"
	host_before
	cat /proc/self/mountinfo >"$T/table.before"

	for start in 1 2 3; do
		boot
		is "$status" 0 "$shape, start $start: the OS is up"
		like "$(bound)" '^[1-9][0-9]*$' "$shape, start $start: mounts of the host are bound"
		is "$(count_in_root)" "$((1 + $(bound) + 1))" "$shape, start $start: the host has the root, each bind once, and what the OS has mounted"
		same "$T/table.before" <(table_without_root) "$shape, start $start: and nothing more"
		is "$(grep -c " $rootdir.* shared:" /proc/self/mountinfo)" 0 "$shape, start $start: none of them shares what is mounted in it"
		is "$(awk -v root="$rootdir" '$5 == root || index($5, root "/") == 1 { print $5 }' /proc/self/mountinfo | sort | uniq -d)" '' \
			"$shape, start $start: nothing twice"
		if [ $start = 1 ]; then
			run os status
			is "$status" 0 "$shape: status: up"
			run chroot "$rootdir" cat /etc/hostname
			is "$status $out" "0 $(cat "$T/tree/etc/hostname")" "$shape: a plain chroot works"
			run os enter readlink /proc/self/ns/mnt
			is "$status $out" "0 $(readlink /proc/self/ns/mnt)" "$shape: enter stays in the host's namespace"
			run os enter cat /etc/hostname
			is "$status $out" "0 $(cat "$T/tree/etc/hostname")" "$shape: and leads into the OS's root"
			wait_for 10 os enter svok /service/clock
			ok "$shape: the services run" os enter svok /service/clock
			ok "$shape: the OS's own mount is there" os enter test -d /data/lost+found
			for method in '' --method=control --method=proc --method=climb; do
				run os enter chroot_escape ${method:+"$method"} cat /proc/self/mountinfo
				is "$status" 0 "$shape: chroot_escape $method works"
				same "$T/.out" /proc/self/mountinfo "$shape: and arrives in the host's root"
			done
			is "$(cat /mnt/c/marker "$rootdir/mnt/c/marker")" $'/mnt/c\n/mnt/c' "$shape: the host's mounts are seen in the OS"
		fi
		[ $start != 2 ] || { chroot "$rootdir" os_process p_chroot & }
		stop
		is "$status" 0 "$shape, start $start: stop"
		gone "$shape, start $start"
	done
	ok "$shape: who was in it by a plain chroot has been ended, too" os_none p_chroot

	# ---- the supervisor is killed
	for what in stop takeover; do
		boot
		old=$(supervisor)
		kill -KILL "$old"
		wait_gone 5 "$old"
		run os status
		is "$status" 4 "$shape, killed: status: exit 4"
		run os enter cat /etc/hostname
		is "$status $out" "0 $(cat "$T/tree/etc/hostname")" "$shape, killed: enter works"
		if [ $what = takeover ]; then
			run os boot --detach
			is "$status" 0 "$shape, killed: taken over"
			like "$err" "taken over: .*\(pid $old\)" "$shape, killed: it says so"
			is "$(count_in_root)" "$((1 + $(bound) + 1))" "$shape, killed: no mount was added"
		fi
		stop
		is "$status" 0 "$shape, killed: stop ($what)"
		gone "$shape, killed, $what"
	done

	# With all of its processes: its mounts stay behind, and are cleared away by the next stop or boot.
	for what in stop boot; do
		conf_with 'run = true'
		boot
		old=$(supervisor)
		kill -KILL "$old"
		wait_gone 5 "$old"
		ok "$shape, nothing lives: the mounts stay behind" mountpoint -q "$rootdir"
		if [ $what = boot ]; then
			boot
			is "$status" 0 "$shape, nothing lives: it boots again"
			is "$(count_in_root)" "$((1 + $(bound)))" "$shape, nothing lives: with as many mounts as ever"
		fi
		stop
		is "$status" 0 "$shape, nothing lives: stop"
		gone "$shape, nothing lives, $what"
	done

	# ---- a boot that fails, and one that is interrupted
	conf_with "${default[@]}" 'require = exit 5'
	run os boot --detach
	is "$status" 1 "$shape: a boot that fails"
	rm -rf /run/gcdboot
	gone "$shape, failed"
	conf_with "${default[@]}" 'run = echo asleep; sleep 100'
	"$gcdboot" -c "$conf" boot --detach >"$T/out" 2>&1 &
	launcher=$!
	wait_for 10 grep -q '^asleep' "$boot_log"
	kill -TERM "$launcher"
	wait "$launcher"
	is "$?" 1 "$shape: a boot that is interrupted"
	rm -rf /run/gcdboot "$T/out"
	gone "$shape, interrupted"

	# Interrupted while it binds: the builder is killed among its mounts.
	conf_with "${default[@]}"
	for signal in TERM KILL; do
		strace -f -o "$T/trace" -e trace=move_mount,mount -e inject=move_mount,mount:delay_enter=200000:when=3+ "$gcdboot" -c "$conf" boot --foreground >"$T/out" 2>&1 &
		tracer=$!
		ok "$shape: a boot is among its mounts" wait_for 10 eval '[ "$(count_in_root)" -ge 3 ]'
		is "$(in_state phase)" building "$shape: and not done with them"
		kill "-$signal" "$(supervisor)"
		wait "$tracer" 2>/dev/null
		wait_for 5 os_none gcdboot
		if [ $signal = KILL ]; then
			stop
			is "$status" 0 "$shape: stop after the supervisor was killed among its mounts"
		fi
		rm -rf /run/gcdboot "$T/out" "$T/trace"
		gone "$shape, SIG$signal among its mounts"
	done
	kill "$container"
	wait "$container" 2>/dev/null
done

# ---- a holder in the host's own namespace
conf_with 'run = true'
boot
(cd "$rootdir/etc" && exec sleep 108) &
holder=$!
wait_for 5 grep -q sleep "/proc/$holder/comm"
stop --timeout=1s
is "$status" 1 "a process of the host stands in the root: stop fails"
like "$err" "pid $holder \(sleep\): has as working directory $rootdir/etc" "and names it"
ok "it is not touched" kill -0 "$holder"
kill "$holder"
wait "$holder" 2>/dev/null
stop
is "$status" 0 "with it gone a stop succeeds"
ok "nothing is mounted" bash -c "! grep ' $rootdir' /proc/self/mountinfo"
ok "the device is free" device_is_free "$disk"

# ---- a service of the host that got its own namespace after the boot has copies of it all: none of the OS's, and it holds the disk
boot
unshare -m --propagation private sleep 109 &
service=$!
wait_for 5 bash -c "[ \"\$(readlink /proc/$service/ns/mnt)\" != \"\$(readlink /proc/self/ns/mnt)\" ]"
stop --timeout=1s
is "$status" 1 "copies in another namespace: stop cannot free the disk"
like "$err" "pid $service \(sleep\): has it mounted in a namespace of its own" "and names who has it"
ok "which is not touched" kill -0 "$service"
kill "$service"
wait "$service" 2>/dev/null
stop
is "$status" 0 "with it gone a stop succeeds"
ok "the device is free" device_is_free "$disk"

# ---- what somebody has mounted on the mount point before is not ours to unmount
mkdir -p "$rootdir"
mount -t tmpfs others "$rootdir"
host_before
conf_with 'require = false'
run os boot --detach
is "$status" 1 "a boot that fails, on a mount point that has a mount already"
rm -rf /run/gcdboot
host_same "leaves that one alone"
conf_with 'run = true'
boot
is "$status" 0 "a boot there"
stop
is "$status" 0 "and a stop"
host_same "leave it alone, too"
umount "$rootdir"
rmdir "$rootdir"

# ---- the state of another boot of the machine: what is mounted there now is somebody else's
boot
mkdir "$T/kept"
ok "a state to keep" cp -a "$rundir/state" "$T/kept"
stop
mkdir -p "$rootdir"
mount -t tmpfs others "$rootdir"
mount -t tmpfs others "$rootdir"
for id in 0 "$(sed -n 's/^root-mount //p' "$T/kept/state")"; do
	mkdir -p /run/gcdboot
	cp -a "$T/kept" "$rundir"
	sed -i "s/^boot-id .*/boot-id 00000000-0000-0000-0000-000000000000/; s/^root-mount .*/root-mount $id/" "$rundir/state"
	stop
	is "$status" 0 "a state from before a restart: stop: exit 0"
	is "$(grep -c " $rootdir " /proc/self/mountinfo)" 2 "another's mount at the same place stays"
	rm -rf /run/gcdboot
done
umount "$rootdir" "$rootdir"

done_testing
