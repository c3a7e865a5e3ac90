#!/bin/bash
# stop: what a stop does: its commands, every process of the OS and no other, swap, mounts, the device. Processes that resist and disks that are held are in
# stop_stubborn.
# shellcheck disable=SC2016
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

os_tree
mkdir "$T/tree/deep"

# A second filesystem, and swap that the OS turns on: a device and a file. And swap that was on before.
make_image "$T/data.img" stop1-data 8 -
attach "$T/data.img"
data=$loop
host_swap='' # set below, by its name
for swap in os_swap host_swap; do
	truncate -s 1M "$T/$swap"
	mkswap -q "$T/$swap"
	attach "$T/$swap"
	declare "$swap=$loop"
done
# shellcheck disable=SC2154
printf '%s\n' "$data /data ext4 defaults 0 2" "$os_swap none swap sw 0 0" >"$T/tree/etc/fstab"
printf '#!/bin/sh
dd if=/dev/zero of="/swap file" bs=1M count=1 2>/dev/null && mkswap "/swap file" && swapon "/swap file"
' >"$T/tree/etc/rc.d/swap_file"
printf '#!/bin/sh
os_process p_plain &
os_process p_session session &
os_process p_daemon daemon
os_process p_ns namespace &
os_process p_ns_daemon namespace daemon
os_process p_stopped stopped &
mkdir /mounted
mount -t tmpfs mine /mounted
mkdir /mounted/below
mount -t tmpfs mine2 /mounted/below
# Out of the OS: it belongs to the host from there on.
chroot_escape sh -c "exec sleep 100 </dev/null >/dev/null 2>&1" &
' >"$T/tree/etc/rc.d/processes"
chmod 755 "$T/tree/etc/rc.d/"*
os_disk stop1
disk=$loop

write_conf <<-END
	[root]
	source = LABEL=stop1
	path = $rootdir
	[boot]
	run = swapon -a
	run = /etc/rc.d/swap_file
	run = mount -a -t ext4
	daemon = /etc/init.d/svscanboot
	run = /etc/rc.d/processes
	[stop]
	run = echo "stop command 1 in \$(cat /etc/hostname)"; echo 1 >/var/log/stop
	run = exit 7
	run = echo "stop command 2" >&2; echo 2 >>/var/log/stop; test -d /data/lost+found && echo data >>/var/log/stop
END

# ---- nothing runs
host_before
stop
is "$status" 0 "stop when nothing runs: exit 0"
like "$out$err" 'no .*running|not running' "it says so"
host_same "and nothing is made for it"

# ---- processes of the host: one in its own namespace, one that stands in the mount point's directory
swapon "$host_swap"
mkdir "$rootdir"
unshare -m sleep 101 &
host_ns=$!
(cd "$rootdir" && exec sleep 102) &
host_cwd=$!
host_before

boot
is "$status" 0 "the OS boots"
exec {log_fd}<"$boot_log"
ready='p_plain p_session p_daemon p_ns p_ns_daemon p_stopped'
for name in $ready; do
	wait_for 10 grep -q "^$name ready" "/proc/$(os_pids svscan)/root/var/log/os_process"
done
wait_for 10 os enter svok /service/clock
ok "services run" os enter svok /service/clock
is "$(os_pids p_stopped | xargs ps -o stat= -p | cut -c1)" T "one process is stopped"
is "$(grep -cE "$os_swap |/swap.040file " /proc/swaps)" 2 "the OS's swap is on, a device and a file"
ok "a host's process that came out of the OS runs" pgrep -f 'sleep 100$'

# A shell that a person left open; ash and bash ignore TERM there. Its terminal stays open until the end.
mkfifo "$T/keys"
script -qefc "$gcdboot -c $conf enter" /dev/null <"$T/keys" >"$T/screen" 2>&1 &
terminal=$!
exec {keys}>"$T/keys"
echo 'os_process p_on_tty & echo "it is" open' >&"$keys"
ok "a shell is open in the OS" wait_for 10 grep -q 'it is open' "$T/screen"
wait_for 10 grep -q "^p_on_tty ready" "/proc/$(os_pids svscan)/root/var/log/os_process"
echo 'os_process p_jobs & sleep 99' >&"$keys"

stop
is "$status" 0 "stop: exit 0"
ok "the person's terminal is given back" wait_gone 5 "$terminal"
exec {keys}>&-
wait 2>/dev/null "$terminal"

log=$(cat <&"$log_fd")
exec {log_fd}<&-
like "$log" "stop command 1 in $(cat "$T/tree/etc/hostname")" "the first stop command ran in the OS, its output in the log"
like "$log" 'stop command 1.*stop command 2' "the commands ran in their order"
like "$log" 'FAILED exit 7: exit status 7' "one that fails is told, and the rest go on"
is "$(file_of "$disk" /var/log/stop | tr '\n' ' ')" "1 2 data " "they ran before anything was taken away"
ended=$(file_of "$disk" /var/log/os_process)
for name in $ready p_on_tty; do
	like "$ended" "$name (TERM|HUP)" "TERM reached $name"
done
# shellcheck disable=SC2086
ok "no process of the OS is left" os_none $ready p_on_tty p_jobs svscan supervise multilog readproctitle ash
ok "a host's process in a namespace of its own lives" kill -0 "$host_ns"
ok "a host's process in the directory of the mount point lives" kill -0 "$host_cwd"
ok "the escaped process lives" pgrep -f 'sleep 100$'
is "$(pgrep -f 'sleep 100$' | xargs -r ps -o stat= -p | cut -c1)" S "and was not even stopped"
pkill -f 'sleep 100$'

ok "the swap of the OS is off" bash -c "! grep -E '$os_swap |/swap.040file ' /proc/swaps"
ok "swap that was on before stays on" swap_is_on "$host_swap"
host_same "mounts, /run, directories and processes are as before"
ok "the device is free" device_is_free "$disk"
ok "the second filesystem's device too" device_is_free "$data"
ok "the filesystem is clean" filesystem_is_clean "$disk"
ok "the second one too" filesystem_is_clean "$data"
run os status
is "$status" 3 "status: not running"
stop
is "$status" 0 "a second stop: exit 0"
swapoff "$host_swap"

# ---- swap that was turned on by a boot that was not finished
for how in require stop kill; do
	write_conf <<-END
		[root]
		source = LABEL=stop1
		path = $rootdir
		[bind]
		exclude = $T
		[boot]
		run = swapon $os_swap
		require = $([ $how = require ] && echo "exit 1" || echo "sleep 100")
	END
	host_before
	if [ $how = require ]; then
		run os boot --detach
		is "$status" 1 "a boot that fails after swapon"
	else
		os boot --detach >"$T/out" 2>&1 &
		launcher=$!
		wait_for 10 swap_is_on "$os_swap"
		wait_for 10 grep -q 'begin sleep 100' "$boot_log"
		[ $how = stop ] || { kill -KILL "$(supervisor)" && wait_gone 5 "$launcher"; }
		stop
		is "$status" 0 "a stop during the boot, after swapon ($how)"
		wait "$launcher" 2>/dev/null
	fi
	ok "the swap is off" bash -c "! grep '$os_swap ' /proc/swaps"
	swap_is_on "$os_swap" && swapoff "$os_swap"
	host_same "and nothing is left ($how)"
	rm -rf "$rundir"
done

# ---- swap that the host turns on while the OS boots is the host's
write_conf <<-END
	[root]
	source = LABEL=stop1
	path = $rootdir
	[boot]
	run = until test -e /tmp/go; do usleep 10000; done
END
host_before
os boot --detach >"$T/out" 2>&1 &
launcher=$!
wait_for 10 grep -q 'begin until' "$boot_log"
swapon "$host_swap"
ok "into the OS while a boot command runs" os enter touch /tmp/go
wait "$launcher"
is "$?" 0 "the boot goes on"
stop
is "$status" 0 "and the OS stops"
ok "the host's swap is still on" swap_is_on "$host_swap"
swapoff "$host_swap"

# ---- the device can be taken away, mounted elsewhere, booted again
write_conf <<-END
	[root]
	source = LABEL=stop1
	path = $T/made/for/the/boot
	[boot]
	daemon = /etc/init.d/svscanboot
END
host_before
boot
is "$status" 0 "boots again, on a mount point that is made"
ok "which is there" test -d "$T/made/for/the/boot"
stop
is "$status" 0 "stops"
ok "the directories that were made are removed" test ! -e "$T/made"
mkdir "$T/elsewhere"
ok "the disk can be mounted at once" mount "$disk" "$T/elsewhere"
umount "$T/elsewhere"
rmdir "$T/elsewhere"
host_same "nothing is left"
boot
stop
is "$status" 0 "once more"
ok "the loop device can be detached at once" losetup -d "$disk"
ok "and is gone" test ! -e "/sys/block/${disk#/dev/}/loop/backing_file"

# ---- a directory as the root: nothing of the host's that lies there is touched
host_shape shared
make_root "$T/os"
mkdir "$T/os/inner"
mount -t tmpfs inner "$T/os/inner"
write_conf <<-END
	[root]
	source = $T/os
	[bind]
	exclude = $T
	[boot]
	daemon = /etc/init.d/svscanboot
END
(cd "$T/os" && exec sleep 103) &
in_directory=$!
host_before
boot
is "$status" 0 "a directory boots"
run os enter findmnt /inner
stop
is "$status" 0 "and stops"
ok "a host's process that works there lives" kill -0 "$in_directory"
ok "a mount of the host in it is still there" mountpoint -q "$T/os/inner"
host_same "nothing is left"

# ---- two stops at once
attach "$T/stop1.img"
disk=$loop
write_conf <<-END
	[root]
	source = LABEL=stop1
	path = $rootdir
	[boot]
	daemon = /etc/init.d/svscanboot
	[stop]
	run = sleep 1
END
host_before
boot
for i in 1 2 3; do
	os stop >"$T/stop.$i" 2>&1 &
	stops[i]=$!
done
for i in 1 2 3; do
	wait "${stops[i]}"
	is "$?" 0 "stop $i of three at once"
done
rm "$T"/stop.?
host_same "nothing is left"
ok "the device is free" device_is_free "$disk"

done_testing
