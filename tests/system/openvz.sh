#!/bin/bash
# openvz: an OS in a directory of an OpenVZ-like container (container.bash), started by conf/rc.local with conf/openvz.conf, as these say.
# Functions are called through `ok`.
# shellcheck disable=SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/container.bash
. "$lib_dir/container.bash"

two_mounts='mount -t tmpfs a /mnt/a && mkdir /mnt/a/b && mount -t tmpfs b /mnt/a/b && echo b >/mnt/a/b/file'
rc_log=$ct/var/log/gcdboot-rc.log

# table NAME: the container's mount table, into a file of the test.
table() {
	ct 'cat /proc/self/mountinfo'
	printf '%s\n' "$out" >"$T/$1"
}

# log_has TEXT: in the log of rc.local.
log_has() {
	grep -qE "$1" "$rc_log"
}

container_root
make_root "$ct/usr/local/gcd"
install -D -m 644 "$repo/conf/openvz.conf" "$ct/etc/gcdboot/default.conf"
install -m 755 "$repo/conf/rc.local" "$ct/etc/rc.local"

# ---- the container is what it says
container_start
is "$status" 0 "the container starts"
ct 'findmnt -n -o SOURCE /; ls /dev/simfs 2>&1'
like "$out" $'^/dev/simfs\nls: cannot access' "its root comes from /dev/simfs, which is not there"
ct 'mknod /tmp/node b 7 0'
like "$status $err" "^1 .*Operation not permitted" "no device node can be made"
ct 'mount -o remount /proc; mount -o remount,ro /sys; mount -t ext4 /tmp /mnt; echo "$?"'
like "$err" "/proc: .*busy.*/sys: .*busy.*/mnt: .*denied" "/proc and /sys cannot be remounted, nor a disk be mounted"
is "$(cat "$refused")" $'remount /proc\nremount /sys\nmount /tmp as ext4 on /mnt' "the node has noted it down"
: >"$refused"
ct 'dd if=/dev/zero of=/swap bs=1M count=1 2>/dev/null && chmod 600 /swap && mkswap -q /swap && swapon /swap; rm /swap'
like "$err" "swapon failed: Operation not permitted" "nor can swap be turned on"
ct 'unshare -m true && chroot / true'
is "$status" 0 "namespaces and chroot work"
table before

# ---- looked at by hand first
ct 'gcdboot check'
is "$status $err" "0 " "check finds nothing that stops a boot, and is quiet"
like "$out" "the host is an OpenVZ container" "it sees what it runs on"
like "$out" "nothing would stop a boot" "its verdict"
ct 'gcdboot plan'
is "$status $err" "0 " "plan"
like "$out" "/usr/local/gcd" "plan names the root"
like "$out" "/proc" "and what would be bound"
table after
same "$T/before" "$T/after" "neither has mounted anything"

# ---- started as the container starts
ct '/etc/rc.local'
is "$status" 0 "rc.local returns"
ok "the OS comes up" wait_for 60 log_has 'rc.local: (up|FAILED)'
ok "and did not fail" log_has 'rc.local: up; its boot log'
unlike "$(cat "$rc_log")" "warning|error|FAILED|cannot" "nothing there deserves a warning"
ok "a start that a reset cuts short would be known" test -e "$ct/var/lib/gcdboot/default.starting"
table after
same "$T/before" "$T/after" "the container's own mounts are untouched"
ct 'gcdboot status'
is "$status $err" "0 " "status: up, not degraded"
ct 'gcdboot enter -- grep PRETTY_NAME /etc/os-release'
is "$out" 'PRETTY_NAME="GCD OS (tiny, for tests)"' "enter leads into the OS"
ct 'gcdboot enter -- svstat /service/clock'
like "$out" "/service/clock: up" "its services run"
ct 'gcdboot enter -- sh -c "cat /proc/self/status" | sed -n "s/^CapBnd:.//p"'
is $((0x$out >> 22 & 1)) 0 "the OS has no CAP_SYS_BOOT"
for way in control proc climb; do
	ct "gcdboot enter -- chroot_escape --method=$way grep PRETTY_NAME /etc/os-release"
	is "$out$err" 'PRETTY_NAME="VPS of the provider"' "$way leads back to the container"
done
ct 'gcdboot enter -- chroot_escape sh -c "[ /proc/self/ns/mnt -ef /proc/1/ns/mnt ] && [ / -ef /proc/1/root ]"'
is "$status$err" 0 "into its own namespace and root"

# ---- stopped, and started again
ct 'gcdboot stop'
is "$status" 0 "stop"
unlike "$err" "warning" "without a complaint"
table after
same "$T/before" "$T/after" "the mounts are as before"
ct 'ls /run/gcdboot 2>&1; ps -e -o comm= | grep -E "^(svscan|supervise|multilog|readproctitle|gcdboot)"'
unlike "$out" "svscan|supervise|multilog|gcdboot\$|default" "nothing of the OS is left"
ct 'gcdboot boot --detach'
is "$status" 0 "and started again"
unlike "$err" "warning" "without a complaint"
ct 'kill -KILL $(sed -n "s/^pid //p" /run/gcdboot/default/state); sleep 0.2; gcdboot boot --detach'
like "$status $err" "^0 .*taken over" "an OS whose supervisor was killed is taken over"
ct 'gcdboot stop'
is "$status" 0 "and stopped"
table after
same "$T/before" "$T/after" "nothing is left"

# ---- swap is the node's: a boot script that wants its own does not keep the OS from booting
sed -i '/^daemon/i run = swapon -a' "$ct/etc/gcdboot/default.conf"
dd if=/dev/zero of="$ct/usr/local/gcd/swapfile" bs=1M count=1 2>/dev/null
chmod 600 "$ct/usr/local/gcd/swapfile"
mkswap -q "$ct/usr/local/gcd/swapfile"
echo '/swapfile none swap sw 0 0' >"$ct/usr/local/gcd/etc/fstab"
ct 'gcdboot boot --detach'
is "$status" 0 "where swapon is refused, the OS boots"
like "$err" "FAILED swapon -a: .*not permitted.*degraded" "it is told, and the OS counts as degraded"
ct 'gcdboot enter -- svstat /service/clock'
like "$out" "/service/clock: up" "all else of it runs"
ct 'gcdboot stop'
is "$status" 0 "it stops"

# ---- mount points are made in the root alone, and in the container's own namespace all is given back
sed -i '/swapon/d' "$ct/etc/gcdboot/default.conf"
sed -i '1i [namespace]\nmount = host' "$ct/etc/gcdboot/default.conf"
ct 'mkdir /mnt/a'
ct "$two_mounts"
table before
in_host_namespace() {
	ct 'gcdboot boot --detach'
	is "$status" 0 "$1: boots in the container's namespace"
	unlike "$err" "warning" "$1: without a complaint"
	is "$(ls -A "$ct/usr/local/gcd/mnt")" a "$1: a mount point was made in the root"
	ct 'gcdboot enter -- cat /mnt/a/b/file'
	is "$out" b "$1: a mount below a mount"
	ct 'chroot /usr/local/gcd chroot_escape --method=climb cat /etc/os-release'
	like "$out" "VPS of the provider" "$1: the way back from a plain chroot"
	ct 'gcdboot stop'
	is "$status" 0 "$1: stops"
	table after
	same "$T/before" "$T/after" "$1: the mounts are as before"
	ct 'echo "[stop]" >/etc/gcdboot/broken.conf; sed "s|^run = .*|run = /nowhere|" /etc/gcdboot/default.conf >/etc/gcdboot/broken.conf; gcdboot -n broken boot --detach'
	is "$status" 2 "$1: a boot that fails"
	table after
	same "$T/before" "$T/after" "$1: gives everything back"

	# /mnt/a/b is not there inside: what is mounted below it has no place but in the container's own /mnt/a/b.
	ct 'mkdir /mnt/a/b/c && mount -t tmpfs c /mnt/a/b/c && mount --make-unbindable /mnt/a/b && gcdboot boot --detach'
	like "$status $err" "^0 .*/mnt/a/b: .*unbindable.*/mnt/a/b/c: .*would have to be made in a mount of the host" "$1: nothing is made in the container's mounts"
	ct 'gcdboot stop; umount /mnt/a/b/c /mnt/a/b; ls -A /mnt/a/b'
	is "$status $out" "0 " "$1: there is nothing of it"
}
in_host_namespace "handles tell the mounts"
is "$(cat "$refused")" "" "gcdboot has asked for no remount, and for no disk"
container_stop

# ---- where nothing tells the mount of a descriptor
rm -rf "$ct/usr/local/gcd/mnt/a"
container_start --no-handles
is "$status" 0 "the container starts, without file handles"
ct "$two_mounts"
table before
in_host_namespace "nothing tells the mounts"
sed -i '/^\[namespace\]/,+1d' "$ct/etc/gcdboot/default.conf"
ct 'umount /mnt/a'
ct "$two_mounts"
# A link of /proc that is no path, told as one by its filesystem, which fstatfs(2) of this kernel does not tell of it.
ct 'mkdir -p /canary /s/magic /usr/local/gcd/canary /usr/local/gcd/s && ln -s /proc/1/root/canary /usr/local/gcd/s/magic && mount -t tmpfs magic /s/magic'
table before
ct 'gcdboot boot --detach'
like "$status $err" "^0 .*not bound: /s/magic: " "a way through /proc/1/root is refused"
ct 'gcdboot enter -- cat /proc/self/mountinfo'
unlike "$out" canary "and leads nowhere else"
ct 'gcdboot stop'
ct 'umount /s/magic'
table before
ct 'gcdboot boot --detach && gcdboot enter -- cat /mnt/a/b/file'
is "$out" b "boots in a namespace of its own"
for way in control proc climb; do
	ct "gcdboot enter -- chroot_escape --method=$way grep PRETTY_NAME /etc/os-release"
	is "$out$err" 'PRETTY_NAME="VPS of the provider"' "$way leads back to the container"
done
ct 'kill -KILL $(sed -n "s/^pid //p" /run/gcdboot/default/state); sleep 0.2; gcdboot boot --detach; gcdboot stop'
like "$status $err" "^0 .*taken over" "is taken over, and stopped"
table after
same "$T/before" "$T/after" "nothing is left"
is "$(cat "$refused")" "" "nothing was refused"
container_stop

done_testing
