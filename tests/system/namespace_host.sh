#!/bin/bash
# namespace_host: [namespace] mount = host: the OS's mounts stand in the host's own table, and go again, whatever happens.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

os_tree
rm "$T/tree/etc/fstab"
os_disk nshost1
disk=$loop

conf_with() {
	write_conf <<-END
		[root]
		source = LABEL=nshost1
		path = $rootdir
		[namespace]
		mount = host
		$(printf '%s\n' "$@")
	END
}

# The mounts of the table at or below the root, and the others.
inside() {
	awk -v root="$rootdir" '$5 == root || index($5, root "/") == 1' /proc/self/mountinfo
}

outside_table() {
	awk -v root="$rootdir" '$5 != root && index($5, root "/") != 1' /proc/self/mountinfo
}

bound() {
	os status --json | sed -n 's/^ *"bound": \([0-9]*\).*/\1/p'
}

kill_supervisor() {
	local pid

	pid=$(supervisor)
	kill -KILL "$pid"
	wait_gone 5 "$pid"
}

for shape in shared private; do
	host_shape "$shape"
	conf_with '[boot]' 'daemon = /etc/init.d/svscanboot'
	host_before
	outside_table >"$T/outside.before"
	counts=''
	for start in 1 2 3; do
		boot
		is "$status" 0 "$shape host: start $start"
		counts+="$(inside | grep -c .) "
		is "$(inside | grep -c .)" "$(($(bound) + 1))" "$shape host: as many mounts below the root as were bound, and the root"
		outside_table >"$T/outside.now"
		same "$T/outside.before" "$T/outside.now" "$shape host: nothing else in the host's table has changed"
		is "$(inside | grep -c shared:)" 0 "$shape host: none of them shares what is mounted in it"
		stop
		is "$status" 0 "$shape host: stop $start"
		host_same "$shape host: the host is as it was"
	done
	is "$(tr ' ' '\n' <<<"$counts" | sort -u | grep -c .)" 1 "$shape host: the same number each time"
done

host_shape shared
conf_with '[boot]' 'daemon = /etc/init.d/svscanboot'
host_before
boot
enter cat /etc/os-release
like "$out" 'GCD OS' "enter"
enter chroot_escape cat /etc/os-release
unlike "$out" 'GCD OS' "chroot_escape leads back, in the same namespace"
run chroot "$rootdir" /bin/cat /etc/os-release
like "$out" 'GCD OS' "a plain chroot does, too"

# A namespace that was made meanwhile has copies of it all, as that of a service of systemd: its process is none of ours, and holds the disk.
unshare -m --propagation slave sleep 103 &
service=$!
wait_for 5 eval '[ "$(readlink /proc/self/ns/mnt)" != "$(readlink "/proc/$service/ns/mnt")" ]'
stop
is "$status" 1 "stop, with a copy of the mounts in another namespace, cannot free the disk"
like "$err" "pid $service \(sleep\): has it mounted in a namespace of its own" "and names who has it"
ok "whose process lives" kill -0 "$service"
kill "$service"
wait "$service" 2>/dev/null
stop
is "$status" 0 "with that gone the next stop succeeds"
host_same "nothing is left"

boot
kill_supervisor
run os status
is "$status" 4 "the supervisor killed: status says so"
boot
is "$status" 0 "gcdboot takes over"
like "$err" 'taken over' "and says so"
run os status
is "$status" 0 "all is well again"
kill_supervisor
stop
is "$status" 0 "stop without a supervisor"
host_same "nothing is left"

# No process lives on: the state file is what undoes the crash.
conf_with '[boot]' 'run = true'
boot
kill_supervisor
ok "the mounts are still there" test -n "$(inside)"
stop
is "$status" 0 "stop clears them away"
host_same "nothing is left"
boot
kill_supervisor
boot
is "$status" 0 "a boot does, too, and goes on"
stop
host_same "nothing is left"

# What somebody else has mounted there before is not ours to unmount.
mkdir -p "$rootdir"
mount -t tmpfs other "$rootdir"
host_before
conf_with '[boot]' 'require = false'
boot 2>/dev/null >"$T/out"
is "$status" 1 "a boot that fails"
like "$err" "boot command 'false' failed" "says at what"
host_same "leaves the host's own mount on the mount point alone"
umount "$rootdir"
rmdir "$rootdir"
ok "the device is free" device_is_free "$disk"
done_testing
