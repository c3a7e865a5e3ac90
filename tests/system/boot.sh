#!/bin/bash
# boot: a disk with several partitions, its root labelled "/", with daemontools: up, down, and up again; with all that the boot commands find around them.
# Functions are called through `ok`.
# shellcheck disable=SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

log=/run/gcdboot/default/boot.log

# ---- the disk: root, data, swap; the root's fstab names the others by UUID, as other disks may have the same labels

truncate -s 64M "$T/disk.img"
sfdisk -q "$T/disk.img" <<-END
	label: gpt
	start=1MiB, size=24MiB, name=root
	start=26MiB, size=8MiB, name=data
	start=36MiB, size=8MiB, type=swap, name=swap
END
data_uuid=$(cat /proc/sys/kernel/random/uuid) swap_uuid=$(cat /proc/sys/kernel/random/uuid)
make_root "$T/tree"
cat >"$T/tree/etc/fstab" <<-END
	UUID=$data_uuid  /data  ext4  defaults  0 2
	UUID=$swap_uuid  none   swap  sw        0 0
END
make_image "$T/root.fs" / 24 "$T/tree"
make_image "$T/data.fs" gcdboot-data 8 -
tune2fs -U "$data_uuid" "$T/data.fs" >/dev/null
truncate -s 8M "$T/swap.fs"
mkswap -q -U "$swap_uuid" "$T/swap.fs"
dd if="$T/root.fs" of="$T/disk.img" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$T/data.fs" of="$T/disk.img" bs=1M seek=26 conv=notrunc,sparse status=none
dd if="$T/swap.fs" of="$T/disk.img" bs=1M seek=36 conv=notrunc,sparse status=none
attach "$T/disk.img"
disk=$loop
private_etc
cat >/etc/gcdboot/default.conf <<-END
	[bind]
	exclude = /etc
	[root]
	path = $T/GCD
END
conf=/etc/gcdboot/default.conf
chmod 600 "$conf"
host_table "$T/table.before"
cat /proc/swaps >"$T/swaps.before"

svc_is_up() {
	os enter svstat "/service/$1" | grep -q ': up (pid'
}

# The table names the device as the namespace that swapped on it does: with the root's mount point before it.
swap_is_on() {
	grep -q "${disk}p3[[:space:]]" /proc/swaps
}

for round in 1 2 3; do
	run "$gcdboot" boot -d
	is "$status" 0 "start $round: the filesystem labelled / boots with the default configuration"
	like "$err" "ok finding LABEL=/: ${disk}p1, ext4" "start $round: it is found"
	host_table "$T/table.during"
	same "$T/table.before" "$T/table.during" "start $round: the host's table is the same during the boot"
	unlike "$(<"$T/.err")" "FAILED" "start $round: no boot command fails"
	ok "start $round: swap is on" swap_is_on
	enter grep " /data " /proc/self/mountinfo
	like "$out" " - ext4 ${disk}p2 " "start $round: /data is mounted"
	ok "start $round: svscan runs the services" wait_for 20 svc_is_up clock
	ok "start $round: both of them" wait_for 20 svc_is_up echo
	enter sh -c 'echo hello >/service/echo/in & cat /service/echo/out'
	is "$out" hello "start $round: a service answers"
	enter cat /data/boots
	is "$(wc -l <"$T/.out")" "$round" "start $round: rc.M has run, and wrote to /data"
	like "$(cat "$log")" "rc.M: done" "start $round: what it said is in the boot log"
	run os status
	is "$status" 0 "start $round: status"
	like "$out" "${disk}p3" "start $round: which knows the swap"
	like "$out" "svscan" "start $round: and what runs"
	run "$gcdboot" stop
	is "$status" 0 "stop $round"
	host_table "$T/table.after"
	same "$T/table.before" "$T/table.after" "stop $round: the host's table is the same"
	is "$(grep -c "${disk##*/}p3[[:space:]]" /proc/swaps)" 0 "stop $round: swap is off"
	is "$(for name in svscan supervise readproctitle multilog; do pgrep "$name"; done)" "" "stop $round: nothing of it runs"
	ok "stop $round: its directory is gone" test ! -e /run/gcdboot -a ! -e "$T/GCD"
	run e2fsck -f -n "${disk}p1"
	is "$status" 0 "stop $round: the root's filesystem is clean"
done

# ---- what a boot command finds around it

write_conf <<-END
	[root]
	source = ${disk}p1
	path = $T/GCD
	[bind]
	exclude = /etc
	[boot]
	run = ls -l /proc/\$\$/fd; true
	run = readlink /proc/self/cwd >/root/cwd
	run = cat /proc/\$\$/stat >/root/stat; true
	run = (: </dev/tty) 2>/dev/null && echo tty >/root/tty || echo no tty >/root/tty
	run = umask >/root/umask; grep -E '^Sig(Blk|Ign)' /proc/self/status >/root/signals
	run = id >/root/id; readlink /proc/self/ns/mnt >/root/ns
	run = ulimit -n >/root/ulimit
	daemon = sleep 1000
END
mkdir "$T/secret"
: >"$T/secret/file"
# Descriptors 3 to 50 on the host's directories and files, a working directory of the host, signals ignored, a terminal.
cat >"$T/start.sh" <<-END
	cd "$T/secret"
	for fd in {3..50}; do eval "exec \$fd<$T/secret"; done
	exec 51>>"$T/secret/file"
	trap '' HUP INT TERM PIPE USR1
	umask 077
	exec "$gcdboot" -c "$conf" boot -d
END
run script -qefc "bash '$T/start.sh'" "$T/typescript"
is "$status" 0 "started from a terminal, with open descriptors"
fds=$(sed '/^20/d' "$log" | grep -- ' -> ')
is "$(wc -l <<<"$fds")" 3 "a boot command has three descriptors"
like "${fds//$'\n'/ }" " 0 -> /dev/null .* 1 -> .*boot.log .* 2 -> .*boot.log" "and they are /dev/null and the boot log"
enter cat /root/cwd /root/tty /root/umask
is "$out" $'/\nno tty\n0022' "its directory is /, it has no terminal, its umask is 022"
enter cat /root/stat
read -r pid _ _ _ group session tty _ <<<"$out"
is "$group $session $tty" "$pid $pid 0" "it leads a session of its own, without a controlling terminal"
# A shell may ignore some by itself.
enter cat /root/signals
is "$out" "$(os enter sh -c 'umask >/dev/null; grep -E "^Sig(Blk|Ign)" /proc/self/status')" "no signal is ignored or blocked but by the shell"
enter cat /root/id /root/ns
is "${out%%$'\n'*}" "uid=0(root) gid=0(root) groups=0(root),11(floppy11),14(users14)" "it is root, with the OS's groups"
unlike "$out" "$(readlink /proc/self/ns/mnt | tr -d '[]')" "in a mount namespace of its own"
supervisor=$(os status --json | sed -n '/"supervisor"/,/}/s/.*"pid": \([0-9]*\).*/\1/p')
ok "the OS outlives the terminal that it was started from" kill -0 "$supervisor"
is "$(find "/proc/$supervisor/fd" -lname "$T/secret*" | wc -l)" 0 "the supervisor keeps none of the descriptors"
is "$(find "/proc/$supervisor/fd" -lname "/dev/pts/*" | wc -l)" 0 "nor the terminal"
unlike "$(readlink "/proc/$supervisor/cwd")" "^$T" "nor the directory"
read -r _ _ _ _ group session tty _ <"/proc/$supervisor/stat"
is "$session $tty" "$supervisor 0" "it leads a session of its own, without a terminal"

# ---- idle: what it holds, and that it sleeps

pss() {
	sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$1/smaps_rollup"
}

switches() {
	sed -n 's/^\(non\)\?voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$1/status" | tr '\n' ' '
}

sanitized() {
	grep -q -e -fsanitize "$BUILD/flags"
}

# idles PID DESCRIPTION: no wake-up in three seconds, and less than 2 MiB. A sanitizer's shadow memory is not what is meant.
idles() {
	local before

	sleep 0.5
	before=$(switches "$1")
	sleep 3
	is "$(switches "$1")" "$before" "$2: it does not wake up while nothing happens"
	sanitized || ok "$2: its Pss is less than 2 MiB ($(pss "$1") kB)" test "$(pss "$1")" -lt 2048
}
idles "$supervisor" "detached"
kill -HUP "$supervisor"
sleep 0.2
run os status
is "$status" 0 "SIGHUP does nothing"
stop
is "$status" 0 "stops"
"$gcdboot" -q -c "$conf" boot -f &
supervisor=$!
is_up() {
	os status --json | grep -q '"phase": "up"'
}
ok "in the foreground" wait_for 20 is_up
idles "$supervisor" "foreground"
stop
wait "$supervisor"
is "$?" 0 "it ends with the OS"

# ---- strange ways to be started

run bash -c '"$0" -c "$1" boot -d <&- >&- 2>&-' "$gcdboot" "$conf"
is "$status" 0 "without standard descriptors"
run os status
is "$status" 0 "it is up"
is "$(sed '/^20/d' "$log" | grep -c -- ' -> ')" 3 "and its commands have them"
stop
run bash -c '"$0" -c "$1" boot -d >/dev/full 2>/dev/full' "$gcdboot" "$conf"
is "$status" 0 "with an output that cannot be written"
run os status
is "$status" 0 "it is up"
stop
run bash -c 'cd "$2" && "$0" -c "conf/$3" boot -d' "$gcdboot" "$conf" "$T" "${conf##*/}"
is "$status" 0 "with a relative path to its configuration"
like "$(os status --json)" "\"config\": \"$conf\"" "which it remembers as a whole one"
stop
mkdir "$T/gone"
run bash -c 'cd "$2" && rmdir "$2" && "$0" -c "$1" boot -d' "$gcdboot" "$conf" "$T/gone"
is "$status" 0 "from a directory that is gone"
stop

# ---- a second one

boot
first=$(os status --json | sed -n '/"supervisor"/,/}/s/.*"pid": \([0-9]*\).*/\1/p')
cp "$log" "$T/log"
run os boot -d
is "$status" 0 "a second gcdboot: exit status 0"
like "$err" "already running since 20[-0-9]+ [0-9:]+, pid $first$" "it names the first one"
run os boot -f
is "$status" 0 "also with -f"
ok "and the log of the first one stays" cmp "$log" "$T/log"
stop

# Pairs started at the same moment: one of the two boots, the other one finds it.
write_conf <<-END
	[root]
	source = $T/tree
	[bind]
	mounts = none
	[boot]
	run = echo x >>/root/count
	daemon = sleep 1000
END
winners=0 finders=0 zeros=0 same_pid=0 stops=0
for _ in {1..20}; do
	os boot -d 2>"$T/one" &
	one=$!
	os boot -d 2>"$T/two" &
	two=$!
	wait "$one" && zeros=$((zeros + 1))
	wait "$two" && zeros=$((zeros + 1))
	winners=$((winners + $(cat "$T/one" "$T/two" | grep -c 'up: ')))
	finders=$((finders + $(cat "$T/one" "$T/two" | grep -c 'already running since')))
	pid=$(cat "$T/one" "$T/two" | sed -n 's/.*already running since .*, pid //p')
	cat "$T/one" "$T/two" | grep -q "supervised by pid $pid$" && same_pid=$((same_pid + 1))
	# At once: the daemon may not even have begun.
	os -q stop && stops=$((stops + 1))
done
is "$winners $finders $zeros $same_pid" "20 20 40 20" "20 pairs at the same moment: one boots, the other one finds it, by its pid, and both exit with 0"
is "$(wc -l <"$T/tree/root/count")" 20 "each boot ran once"
is "$stops" 20 "each could be stopped the moment that it was up"
detach "$disk"

done_testing
