#!/bin/bash
# mount_limit: the kernel's limit on mounts (fs.mount-max, 4,096 in many a container) is reached, for real and by an answer that only containers give. The
# test's own namespace is filled up to the limit, whatever it is; the sysctl is not touched.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

mount_max=$(cat /proc/sys/fs/mount-max)
room=8 # mounts that are left; a boot needs more

# fill: one tmpfs, bound into itself again and again, which doubles it each time; then smaller trees, where the whole has no room any more.
fill() {
	local last=0 size

	mkdir "$T/fill"
	mount -t tmpfs fill "$T/fill"
	mkdir "$T/fill"/{1..50}
	# The tree in a directory N has 2^(N-1) mounts, so that each of them is needed once at most.
	while mount -n -i --rbind "$T/fill" "$T/fill/$((last + 1))" 2>/dev/null; do
		last=$((last + 1))
	done
	for ((size = last; size > 0; size--)); do
		mount -n -i --rbind "$T/fill/$size" "$T/fill/$((50 - size))" 2>/dev/null
	done
}

# reserve, give_back: mounts that are made before the rest is filled, so that there is room for as many again.
reserve() {
	local i

	mkdir "$T/reserve"
	mount -t tmpfs reserve "$T/reserve"
	for ((i = 0; i < room; i++)); do
		mkdir "$T/reserve/$i"
		mount -n -i --bind "$T/reserve/$i" "$T/reserve/$i"
	done
}

give_back() {
	local i

	for ((i = 0; i < room; i++)); do
		umount -n -i "$T/reserve/$i"
	done
}

add_host_mounts
make_root "$T/tree"
too_many='cannot bind [^ ]+: the limit on mounts is reached after [1-9][0-9]* of [1-9][0-9]+ binds'
write_conf <<-END
	[root]
	source = $T/tree
	[bind]
	exclude = $T/*
	[boot]
	run = true
END
boot
is "$status" 0 "with room enough it boots"
stop
is "$status" 0 "and stops"

# ---- a container's limit may answer ENOMEM: to the bind, to the root, to the namespace itself
trace() {
	run strace -f -o "$T/trace" "$@"
}
host_before
trace -e trace=mount -e inject=mount:error=ENOMEM:when=9+ "$gcdboot" -c "$conf" boot --detach
is "$status" 1 "ENOMEM for a bind: the boot fails"
like "$err" "$too_many \(the container's own, or the kernel is out of memory\): leave some out with \[bind\] exclude" "with the count, and what to do"
host_same "nothing is left"
trace -e trace=unshare -e inject=unshare:error=ENOMEM:when=1 "$gcdboot" -c "$conf" boot --detach
is "$status" 1 "ENOMEM for the namespace: the boot fails"
like "$err" "cannot make a mount namespace \(the limit on mounts may be reached: fs.mount-max, or the container's own\)" "it says so"
host_same "nothing is left"

# ---- the kernel's own limit
reserve
fill
ok "the namespace is full" bash -c '! mount -n -i --bind "$T/reserve" "$T/reserve"'
host_before
boot
is "$status" 1 "no room at all: the boot fails"
like "$err" "cannot mount .*the limit on mounts may be reached: fs.mount-max" "it says why"
host_same "nothing is left"
give_back
host_before
run os boot --detach
is "$status" 1 "room for $room: the boot fails"
like "$err" "$too_many \(fs.mount-max, or the container's own\): leave some out with \[bind\] exclude" "with the count, and what to do"
host_same "nothing is left"
run os check
is "$status" 1 "check foretells it"
like "$out" "[0-9]+ mounts, and [0-9]+ to bind: more than the $mount_max that fs.mount-max allows in a namespace" "with its numbers"
sed -i '1i [namespace]\nmount = host' "$conf"
run os boot --detach
is "$status" 1 "the same in the host's own namespace"
host_same "nothing is left"
sed -i '1,2d' "$conf"
sed -i "s|^exclude = .*|mounts = none|" "$conf"
run os check
is "$status" 0 "with nothing to bind there is room"
run os boot --detach
is "$status" 0 "and it boots"
stop
is "$status" 0 "and stops"
host_same "nothing is left"

done_testing
