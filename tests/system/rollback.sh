#!/bin/bash
# rollback: a boot that fails has undone everything, and says which step failed and why; at each step, with either kind of namespace.
# shellcheck disable=SC2016,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

made=$T/made/by/boot
namespace=private

# conf_with SOURCE LINE...: the source, and what follows [root]. The mount point has to be made.
conf_with() {
	local source=$1

	shift
	write_conf <<-END
		[root]
		source = $source
		path = $made
		wait = 200ms
		[namespace]
		mount = $namespace
		$(printf '%s\n' "$@")
	END
}

# fails STATUS REGEX STEP: the boot fails, says so, and nothing is left but its log.
fails() {
	local wanted=$1 regex=$2 step="$namespace: $3"

	host_before
	run os boot --detach
	is "$status" "$wanted" "$step: exit status $wanted"
	like "$err" "$regex" "$step: the message names the step and the reason"
	is "$(grep -cvE '^gcdboot: (ok|FAILED|warning:|error:) ' <<<"$err")" 1 "$step: said once"
	host_same "$step: no mount, directory, process, lock or socket is left"
	ok "$step: the boot log stays" grep -q 'failed: ' "$boot_log"
	if [ -n "$disk" ]; then
		ok "$step: the device is free" device_is_free "$disk"
		ok "$step: the filesystem is clean" filesystem_is_clean "$disk"
	fi
	run os status
	is "$status" 3 "$step: status: not running"
	rm -rf /run/gcdboot
}

# broken_disk LABEL COMMAND...: a disk whose tree COMMAND, run in it, has changed.
broken_disk() {
	local label=$1

	shift
	rm -rf "$T/tree"
	os_tree
	(cd "$T/tree" && "$@")
	os_disk "$label"
	disk=$loop
}

os_tree
os_disk rollback1
good=$loop
disk=$good

# ---- before anything is mounted

conf_with LABEL=rollback-none
fails 1 'gcdboot: no filesystem with LABEL=rollback-none \(waited 0.2 s\); what there is: ' "no such disk"
conf_with /dev/rollback-none
fails 1 'gcdboot: no device /dev/rollback-none' "no such device"
truncate -s 1M "$T/empty"
attach "$T/empty"
disk=
conf_with "$loop"
fails 1 "gcdboot: .*$loop" "a device without a filesystem"
disk=$good
: >"$T/file"
write_conf <<-END
	[root]
	source = LABEL=rollback1
	path = $T/file
END
fails 1 "gcdboot: the mount point $T/file is not a directory" "a mount point that is a file"
write_conf <<-END
	[root]
	source = LABEL=rollback1
	path = $T/file/below
END
fails 1 "gcdboot: .*mount point $T/file" "a mount point below a file"
conf_with LABEL=rollback1 '[bind]' 'timeout = 5x'
run os boot --detach
is "$status" 2 "a mistake in the configuration: exit status 2"
ok "nothing is made for it" test ! -e /run/gcdboot

for namespace in private host; do
	# ---- the mount
	disk=$good
	conf_with LABEL=rollback1
	sed -i "s/^wait .*/&\ntype = xfs/" "$conf"
	fails 1 "gcdboot: cannot mount $good on $made as xfs: " "the wrong type"
	conf_with LABEL=rollback1
	sed -i "s/^wait .*/&\noptions = nosuchoption/" "$conf"
	fails 1 "gcdboot: cannot mount $good on $made" "an option that the filesystem does not know"

	# ---- the root
	broken_disk rollback-noproc rm -r proc
	conf_with LABEL=rollback-noproc '[bind]' 'create = no'
	fails 1 'gcdboot: .*/proc' "no /proc in the root, and none may be made"
	detach "$disk"
	broken_disk rollback-nosh rm bin/sh
	conf_with LABEL=rollback-nosh
	fails 1 'gcdboot: the root has no /bin/sh' "no /bin/sh"
	detach "$disk"
	broken_disk rollback-norc rm etc/rc.d/rc.M
	conf_with LABEL=rollback-norc '[boot]' 'run = true' 'run = /etc/rc.d/rc.M'
	fails 2 "gcdboot: $conf:[0-9]+: /etc/rc.d/rc.M in the root: No such file or directory" "a boot script that is not there"
	detach "$disk"
	broken_disk rollback-noexec chmod 644 etc/init.d/svscanboot
	conf_with LABEL=rollback-noexec '[boot]' 'daemon = /etc/init.d/svscanboot'
	fails 2 "gcdboot: $conf:[0-9]+: /etc/init.d/svscanboot in the root: is not executable" "a boot script that is not executable"
	detach "$disk"

	# ---- the boot commands
	disk=$good
	conf_with LABEL=rollback1 '[boot]' 'daemon = /etc/init.d/svscanboot' 'run = os_process p_daemon daemon' 'run = os_process p_ns daemon namespace' \
		'run = mount -t tmpfs mine /mnt' 'require = echo "it is broken" >&2; exit 7' 'run = touch /too_far'
	fails 1 "gcdboot: the boot command 'echo .*' failed: exit status 7: it is broken; everything is undone" "require"
	like "$(file_of "$good" /var/log/os_process)" 'p_daemon TERM' "$namespace: what was started got TERM"
	is "$(file_of "$good" /too_far)" '' "$namespace: what comes after it was not started"
	conf_with LABEL=rollback1 '[boot]' 'require = kill -SEGV $$'
	fails 1 "gcdboot: the boot command .* failed: killed by signal 11; everything is undone" "require that crashes"
	conf_with LABEL=rollback1 '[boot]' 'require = nosuchcommand'
	fails 1 "gcdboot: the boot command 'nosuchcommand' failed: exit status 127: .*not found" "require of what does not exist"
	conf_with LABEL=rollback1 '[boot]' 'timeout = 1s' 'require = os_process p_slow ignore'
	fails 1 "gcdboot: the boot command 'os_process p_slow ignore' failed: took longer than 1 s and was ended" "require that takes too long"
	ok "$namespace: it is ended" os_none p_slow
done

# ---- a mount point that somebody mounted something on, and one that is not empty: they stay what they are
disk=$good
mkdir -p "$made"
touch "$made/of the host"
namespace=private
conf_with LABEL=rollback1 '[boot]' 'require = exit 1'
fails 1 'exit status 1' "a mount point that was there"
ok "it is still there, with what is in it" test -e "$made/of the host"
rm -r "$T/made"

# ---- a failure that cannot be undone at once is told
conf_with LABEL=rollback1 '[boot]' 'run = chroot_escape sleep 100 </etc/hostname >/dev/null 2>&1 &' 'run = sleep 0.3' 'require = exit 1' '[stop]' 'timeout = 1s'
run os boot --detach
is "$status" 1 "a failed boot whose disk is held"
like "$err$(cat "$boot_log")" "pid [0-9]+ \(sleep\): has open as descriptor 0 $made/etc/hostname" "the holder is named"
unlike "$err" 'everything is undone' "it does not say that everything is undone"
end_holder
stop
is "$status" 0 "with the holder gone a stop clears up"
ok "the mount point is gone" test ! -e "$T/made"
ok "the device is free" device_is_free "$disk"

# ---- degraded is not failed
conf_with LABEL=rollback1 '[boot]' 'run = exit 3' 'run = true'
boot
is "$status" 0 "a run that fails is no reason to undo the boot"
run os status
is "$status" 4 "but status says so"
stop
is "$status" 0 "and it stops"

done_testing
