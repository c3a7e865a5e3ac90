#!/bin/bash
# hundred: start, stop, start works a hundred times, and nothing grows.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

os_tree
os_disk hundred1
disk=$loop
add_host_mounts
write_conf <<-END
	[root]
	source = LABEL=hundred1
	path = $rootdir
	[boot]
	daemon = /etc/init.d/svscanboot
	run = true
END

# once: a boot, a look, a stop. Counts what it saw.
mounts='' descriptors='' failed=0
once() {
	os -q boot --detach </dev/null >"$T/once.out" 2>&1 || return
	mounts+="$(os enter grep -c . /proc/self/mountinfo) "
	descriptors+="$(find "/proc/$(supervisor)/fd" -mindepth 1 | wc -l) "
	os -q stop </dev/null >>"$T/once.out" 2>&1
}

host_before
for ((i = 1; i <= 100; i++)); do
	once || { failed=$((failed + 1)) && diag "start $i: $(cat "$T/once.out")"; }
done
is "$failed" 0 "a hundred starts and stops succeed"
is "$(tr ' ' '\n' <<<"$mounts" | grep . | sort | uniq -c | awk '{ print $1 }')" 100 "each with the same number of mounts in the OS"
is "$(tr ' ' '\n' <<<"$descriptors" | grep . | sort | uniq -c | awk '{ print $1 }')" 100 "each with the same number of descriptors in the supervisor"
host_same "mounts, processes and /run of the host are as before"
ok "the device is free" device_is_free "$disk"
ok "the filesystem is clean" filesystem_is_clean "$disk"
done_testing
