#!/bin/bash
# links: whatever symbolic links the root holds, what is mounted or made for the OS stays inside of it, and links inside of it are followed.
# Functions are called through `ok`.
# shellcheck disable=SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# overlay_host: gives the test's host a root directory in which it may make directories: a layer over the machine's own. A mount point then has no mount
# above it but "/", so that the links in the OS's root are what is met there.
overlay_host() {
	local target

	mkdir "$T/upper" "$T/work" "$T/host"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$T/upper,workdir=$T/work" "$T/host" || return
	while read -r target; do
		mkdir -p "$T/host$target"
		mount --bind "$target" "$T/host$target"
	done < <(cut -d' ' -f5 /proc/self/mountinfo | grep -v -e '^/$' -e "^$T" -e '^/mnt/')
	mkdir -p "$T/host$T" "$T/host/old"
	mount --bind "$BED_INSIDE" "$T/host$BED_INSIDE"
	mount --bind "$T" "$T/host$T"
	cd "$T/host" && pivot_root . old && cd / && umount --lazy /old
}
overlay_host || skip_all "no overlayfs in this kernel"

# The canaries: directories of the host that links in the root name by their paths.
mkdir -p /canary/{absolute,dotdot,magic,opt}
echo canary >/canary/file

canary_state() {
	find /canary /h /s /opt -printf '%p %y %m %s %l\n' | sort
	cat /canary/file
}

for name in absolute dotdot loop dangling dangling_dot plain chain top into_file; do
	host_dirs=()
	host_tmpfs "/h/$name" "$name"
done
host_tmpfs /s/magic magic
host_tmpfs /s/magic_cwd magic_cwd
echo resolv >"$T/resolv"

# make_links ROOT: a root full of traps.
make_links() {
	local root=$1

	mkdir -p "$root/h" "$root/s" "$root/target" "$root/usr/lib64" "$root/run"
	ln -s /canary/absolute "$root/h/absolute"
	ln -s ../../../../../../canary/dotdot "$root/h/dotdot"
	ln -s loop "$root/h/loop"
	ln -s "/nowhere/at/all" "$root/h/dangling"
	ln -s "../../../not/there/../here" "$root/h/dangling_dot"
	ln -s ../target "$root/h/plain"
	ln -s ../link1 "$root/h/chain"
	ln -s link2 "$root/link1"
	ln -s /target2/below "$root/link2"
	ln -s / "$root/h/top"
	ln -s /proc/1/root/canary/magic "$root/s/magic"
	ln -s /proc/self/cwd "$root/s/magic_cwd"
	: >"$root/plain_file"
	ln -s /plain_file "$root/h/into_file"
	rm -rf "$root/var/run" "${root:?}/lib64"
	ln -s /run "$root/var/run"
	cp -a "$root/lib/." "$root/usr/lib64/" 2>/dev/null
	ln -s usr/lib64 "$root/lib64"
	mkdir -p "$root/sbin"
	rm -f "$root/sbin/init"
	echo "own init" >"$root/sbin/init"
	ln -sfn sbin/init "$root/init"
	ln -sfn ../run/nosuch/resolv.conf "$root/etc/resolv.conf"
	ln -sfn /canary/file "$root/etc/hosts"
	ln -sfn /canary/opt "$root/opt"
}

: >/run/through_link
# The tiny root's loader lies in /lib64: what stays of it has to run.
make_root "$T/tree"
cp -a "$T/tree/lib64/." "$T/lib64"
make_links "$T/tree"
cp -an "$T/lib64/." "$T/tree/usr/lib64/"
make_image "$T/disk.img" gcdlinks 32 "$T/tree"
attach "$T/disk.img"
canary_state >"$T/canary.before"
host_table "$T/table.before"

write_conf <<-END
	[root]
	source = LABEL=gcdlinks
	path = $T/os
	[bind]
	extra = $T/resolv:/etc/resolv.conf
	extra = $T/resolv:/etc/hosts
	extra = $T/resolv:/init
	extra = $T/resolv:/var/run/through_link
	extra = /h/plain:/opt/new/dir
	extra = /h/plain:/lib64/sub
	[boot]
	daemon = sleep 1000
END

for shape in private shared; do
	host_shape "$shape"
	host_table "$T/table.before"
	boot
	is "$status" 0 "$shape host: boots"
	host_table "$T/table.during"
	same "$T/table.before" "$T/table.during" "$shape host: its table is the same, byte for byte"
	canary_state >"$T/canary.during"
	same "$T/canary.before" "$T/canary.during" "$shape host: the canary is untouched"

	enter cat "/target/marker" "/nowhere/at/all/marker" "/not/here/marker" "/target2/below/marker" /canary/absolute/marker /canary/dotdot/marker
	is "$out" $'/h/plain\n/h/dangling\n/h/dangling_dot\n/h/chain\n/h/absolute\n/h/dotdot' "$shape host: links inside the root are followed, inside"
	is "$status" 0 "$shape host: all of them"
	enter cat /h/chain/marker
	is "$out" /h/chain "$shape host: so each is also found by its name"
	enter cat /canary/opt/new/dir/marker /usr/lib64/sub/marker /run/through_link
	is "$out" $'/h/plain\n/h/plain\nresolv' "$shape host: /opt, /lib64 and /var/run are links: what goes below them goes there"
	enter cat /etc/resolv.conf /etc/hosts /init /sbin/init
	is "$out" $'resolv\nresolv\nresolv\nown init' "$shape host: a file goes over a link, not over what it leads to"
	log=$(cat /run/gcdboot/default/boot.log)
	like "$log" "warning: not bound: /h/loop: .*Too many (levels of )?symbolic links" "$shape host: a loop is skipped with the reason"
	like "$log" "warning: not bound: /s/magic: " "$shape host: a way through /proc/1/root is refused"
	like "$log" "warning: not bound: /s/magic_cwd: " "$shape host: and one through /proc/self/cwd"
	like "$log" "warning: not bound: /h/into_file: .*(not|Not) a(, the other is not| directory)|not bound: /h/into_file: one is a directory" "$shape host: a directory does not go over a file"
	like "$log" "warning: not bound: /h/top: " "$shape host: nothing goes over the root itself, where a link leads there"
	enter ls /bin/sh /etc/../bin/sh
	is "$status" 0 "$shape host: it is not hidden, nor what is reached by '..'"
	stop
	is "$status" 0 "$shape host: stops"
	host_table "$T/table.after"
	same "$T/table.before" "$T/table.after" "$shape host: its table is the same at the end"
	canary_state >"$T/canary.after"
	same "$T/canary.before" "$T/canary.after" "$shape host: so is the canary"
done
run e2fsck -f -n "$loop"
is "$status" 0 "the root's filesystem is sound"
debugfs -R 'stat /h/absolute' "$loop" 2>/dev/null >"$T/stat"
like "$(cat "$T/stat")" "Type: symlink" "and its links are still links"
detach "$loop"

# ---- what is made is made in the root, not in what is bound there

mkdir -p /h/plain/own
canary_state >"$T/canary.before"
make_image "$T/disk.img" gcdlinks 16 "$T/tree"
attach "$T/disk.img"
sed -i 's|^extra = .*opt/new/dir|&\nextra = /h/plain:/h/chain/new/dir\nextra = '"$T"'/resolv:/h/plain/own/new_file|' "$conf"
boot
is "$status" 0 "mount points in a mount of the host: boots"
stop
canary_state >"$T/canary.after"
same "$T/canary.before" "$T/canary.after" "after the stop the host's filesystems are what they were"
detach "$loop"
rm -rf /h/chain/new /h/plain/own
canary_state >"$T/canary.before"

# ---- mount = host has no namespace that would hide a mistake

make_links_root=$T/hostroot
cp -a "$T/tree" "$make_links_root"
write_conf <<-END
	[root]
	source = $make_links_root
	path = $T/os
	[namespace]
	mount = host
	[bind]
	extra = $T/resolv:/etc/hosts
	extra = /h/plain:/opt/new/dir
	[boot]
	daemon = sleep 1000
END
for shape in shared private; do
	host_shape "$shape"
	host_table "$T/table.before"
	boot
	is "$status" 0 "in the host's namespace, $shape: boots"
	canary_state >"$T/canary.during"
	same "$T/canary.before" "$T/canary.during" "in the host's namespace, $shape: the canary is untouched"
	is "$(cut -d' ' -f5 /proc/self/mountinfo | grep -v "^$T/os" | sort)" "$(cut -d' ' -f5 "$T/table.before" | sort)" \
		"in the host's namespace, $shape: every mount that came lies below the root"
	stop
	is "$status" 0 "in the host's namespace, $shape: stops"
	host_table "$T/table.after"
	same "$T/table.before" "$T/table.after" "in the host's namespace, $shape: everything is gone"
done

# A directory that is a link to where it stands: what is mounted on it covers the others, which then have no mount point in the root.

host_tmpfs /h/self self
ln -s . "$make_links_root/h/self"
canary_state >"$T/canary.before"
for namespace in private host; do
	sed -i "s/^mount = .*/mount = $namespace/" "$conf"
	host_shape shared
	host_table "$T/table.before"
	boot
	is "$status" 0 "a link to its own directory, mount = $namespace: boots"
	canary_state >"$T/canary.during"
	same "$T/canary.before" "$T/canary.during" "a link to its own directory, mount = $namespace: nothing is made in the host's filesystems"
	is "$(cut -d' ' -f5 /proc/self/mountinfo | grep -v "^$T/os" | sort)" "$(cut -d' ' -f5 "$T/table.before" | sort)" \
		"a link to its own directory, mount = $namespace: every mount that came lies below the root"
	stop
	is "$status" 0 "a link to its own directory, mount = $namespace: stops"
	host_table "$T/table.after"
	same "$T/table.before" "$T/table.after" "a link to its own directory, mount = $namespace: everything is gone"
	find /h/self -mindepth 1 ! -name marker -delete
done

done_testing
