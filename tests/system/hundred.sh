#!/bin/bash
# hundred: start, stop, start, a hundred times: from a disk, from an image file, and with mount = host. Each time all is as before, and nothing adds up.
# shellcheck disable=SC2016
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

os_tree
os_disk hundred1
disk=$loop
make_image "$T/hundred2.img" hundred2 16 "$T/tree"

# counts: what could add up: mounts, loop devices of the image file, processes (zombies too), mount namespaces, descriptors of this test, files in /run and in the mount point's place.
counts() {
	local processes=(/proc/[0-9]*) descriptors=(/proc/$$/fd/*) namespaces

	namespaces=$(readlink /proc/[0-9]*/ns/mnt | sort -u | wc -l)
	echo "mounts $(wc -l </proc/self/mountinfo) loops $(losetup --noheadings --raw --output BACK-FILE | grep -c "^$T") processes ${#processes[@]}" \
		"namespaces $namespaces descriptors ${#descriptors[@]} files $(find /run "$T" -maxdepth 1 ! -name ".*" | wc -l)"
}

# again TIMES DESCRIPTION: boots and stops the OS so many times.
again() {
	local times=$1 description=$2 i before after bound='' first='' failed=0

	before=$(counts)
	for ((i = 1; i <= times; i++)); do
		run os boot --detach
		[ "$status" = 0 ] || { diag "boot $i" && diag_run && failed=$((failed + 1)); }
		bound=$(sed -n 's/^bound //p' "$rundir/state")
		first=${first:-$bound}
		[ "$bound" = "$first" ] || { diag "boot $i: $bound binds, not $first" && failed=$((failed + 1)); }
		os_none svscan && ! wait_for 5 eval '! os_none svscan' && diag "boot $i: no svscan" && failed=$((failed + 1))
		stop
		[ "$status" = 0 ] || { diag "stop $i" && diag_run && failed=$((failed + 1)); }
		# A killed process is gone when its parent has looked.
		wait_for 5 eval '[ "$(counts)" = "$1" ]' "$before"
		after=$(counts)
		[ "$after" = "$before" ] || { diag "after stop $i: $after, not $before" && failed=$((failed + 1)); }
		[ "$failed" -lt 5 ] || break
	done
	is "$failed of $((i - 1))" "0 of $times" "$description"
	is "$(counts)" "$before" "$description: nothing has added up"
}

conf_with() {
	write_conf <<-END
		[root]
		source = $1
		path = $rootdir
		[namespace]
		mount = ${2:-private}
		[boot]
		daemon = /etc/init.d/svscanboot
		run = echo again >>/var/log/boots
	END
}

host_shape shared
conf_with LABEL=hundred1
again 100 "a disk, a hundred times"
is "$(file_of "$disk" /var/log/boots | grep -c again)" 100 "its boot commands ran a hundred times"
ok "the device is free" device_is_free "$disk"
ok "the filesystem is clean" filesystem_is_clean "$disk"

conf_with LABEL=hundred1 host
again 30 "mount = host, thirty times"
ok "the filesystem is clean" filesystem_is_clean "$disk"

conf_with "$T/hundred2.img"
again 30 "an image file, thirty times"
is "$(file_of "$T/hundred2.img" /var/log/boots | grep -c again)" 30 "its boot commands ran thirty times"
ok "the filesystem is clean" filesystem_is_clean "$T/hundred2.img"

done_testing
