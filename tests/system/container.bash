# shellcheck shell=bash
# container.bash: an OpenVZ-like container: a Debian as root on an ext4 filesystem whose source reads /dev/simfs, in mount and pid namespaces of its own, on a
# node with the system calls of Linux 3.10, with the capabilities that such a container has, without device nodes. Sourced after lib.sh.
#
#	container_root            makes the root in $ct, with gcdboot and chroot_escape in /usr/local/sbin
#	container_start [OPTION]  starts it, with an option of openvz_node
#	ct 'gcdboot status'       runs a script in it; sets $status, $out and $err as `run` does
#	container_stop            ends it with all that runs in it; the root stays

ct=$T/ct
refused=$T/refused # what the node refused of mount(2)

# What a container has not; it has sys_boot, to restart itself.
container_lacks=sys_module,sys_rawio,sys_time,mknod,syslog,mac_admin,mac_override,sys_pacct,wake_alarm,block_suspend,audit_control

# The libraries that a program needs and that root does not have (of the sanitizers, for one).
container_libraries() {
	local library

	for library in $(ldd "$1" | grep -o '/[^ ]*'); do
		[ -e "$ct$library" ] || install -D -m 755 "$library" "$ct$library"
	done
}

# Mounted by a node of that name, which is then gone.
container_root() {
	cp --sparse=always "$disk_image" "$T/ct.img"
	attach "$T/ct.img"
	mkdir "$ct" "$T/.dev"
	mknod "$T/.dev/simfs" b $((0x$(stat -c %t "${loop}p3"))) $((0x$(stat -c %T "${loop}p3")))
	mount --bind "$T/.dev" /dev
	mount -t ext4 /dev/simfs "$ct"
	umount /dev
	install -m 755 "$gcdboot" "$escape" "$ct/usr/local/sbin"
	container_libraries "$gcdboot"
	printf 'PRETTY_NAME="VPS of the provider"\n' >"$ct/etc/os-release"
}

# Runs as the container's pid 1. Its first part sees the node's root still.
container_init='
	fail() { echo "container: $1" >&2; exit 1; }
	cd "$1" || fail "no root"
	mount -t proc proc proc && mount -t sysfs sysfs sys && mount -t tmpfs -o mode=755 devtmpfs dev && mount -t tmpfs -o mode=755 tmpfs run || fail mounts
	mkdir dev/pts dev/shm && mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts && ln -s pts/ptmx dev/ptmx || fail devpts
	mknod dev/null c 1 3 && mknod dev/zero c 1 5 && mknod dev/full c 1 7 && mknod dev/random c 1 8 && mknod dev/urandom c 1 9 && mknod dev/tty c 5 0 || fail nodes
	chmod 666 dev/*
	pivot_root . . && umount -l . || fail pivot_root
	exec chroot . /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
		${ASAN_OPTIONS:+"ASAN_OPTIONS=$ASAN_OPTIONS"} ${UBSAN_OPTIONS:+"UBSAN_OPTIONS=$UBSAN_OPTIONS"} \
		setpriv --bounding-set "$2" bash -c "
			exec 3<>/channel/in 4<>/channel/done
			while read -r _ <&3; do
				bash /channel/script >/channel/out 2>/channel/err </dev/null 3>&- 4>&-
				echo \$? >&4
			done"
'

container_start() {
	rm -rf "$ct/channel"
	mkdir -m 700 "$ct/channel"
	mkfifo "$ct/channel/in" "$ct/channel/done"
	exec {ct_in}<>"$ct/channel/in" {ct_done}<>"$ct/channel/done"
	: >"$refused"
	"$helpers/openvz_node" "$@" "$refused" "$helpers/old_kernel" unshare -m -p -f --kill-child --propagation private \
		bash -c "$container_init" container "$ct" "-${container_lacks//,/,-}" </dev/null >"$T/ct.log" 2>&1 &
	ct_pid=$!
	ct true
	[ "$status" = 0 ] || diag "$(cat "$T/ct.log")"
}

ct() {
	printf '%s\n' "$1" >"$ct/channel/script"
	echo go >&"$ct_in"
	read -r -t "${RUN_TIMEOUT:-60}" -u "$ct_done" status || status=124
	out=$(cat "$ct/channel/out")
	err=$(cat "$ct/channel/err")
}

# unshare --kill-child takes pid 1 along, and the kernel everything else of the container.
container_stop() {
	pkill -KILL -P "$ct_pid"
	wait "$ct_pid" 2>/dev/null
	exec {ct_in}>&- {ct_done}>&-
}
