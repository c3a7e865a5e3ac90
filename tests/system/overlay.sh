#!/bin/bash
# overlay: [root] overlay = tmpfs: an OS that can write, on a source that is not written to; every kind of source, either kind of namespace, and that
# nothing is left of it.
# shellcheck disable=SC2016,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

staging=$rundir/overlay
namespace=private

# conf_with SOURCE LINE...: the source, and what follows in [root]; commands of the boot begin with "[boot]".
conf_with() {
	local source=$1

	shift
	write_conf <<-END
		[namespace]
		mount = $namespace
		[root]
		source = $source
		path = $rootdir
		overlay = tmpfs
		wait = 2s
		[bind]
		extra = /etc/passwd:/made/deep/file
		extra = $T/cdrom:/made/directory:ro
		[root]
		$(printf '%s\n' "$@")
	END
}

# sum_of SOURCE: of every byte of a file or device; of a directory, each file's content, owner, mode and times (but for access, which the test reads).
sum_of() {
	if [ -d "$1" ]; then
		(cd "$1" && find . -printf '%p %y %U %G %m %s %T@ %C@ %l\n' | LC_ALL=C sort && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum
	else
		[ ! -b "$1" ] || blockdev --flushbufs "$1"
		sha256sum <"$1"
	fi
}

# loops_of FILE: the loop devices that show it.
loops_of() {
	losetup --noheadings --output NAME --associated "$1"
}

# unchanged DESCRIPTION: the source is what it was when `before` was set, and no loop device is left of it.
unchanged() {
	is "$(sum_of "$source")" "$before" "$1: the source is the same, byte for byte"
	[ ! -f "$source" ] || is "$(loops_of "$source")" '' "$1: no loop device is left"
	[ ! -b "$source" ] || ok "$1: the device is free" device_is_free "$source"
}

# ---- the sources

os_tree
mkdir -p "$T/tree/var/lib/rename"
: >"$T/tree/var/lib/rename/file"
chmod 751 "$T/tree"
chown 12:34 "$T/tree"

# As on a medium of Ubuntu: on something that cannot be written either.
mkdir "$T/cdrom"
mount -t tmpfs medium "$T/cdrom"
mkdir "$T/cdrom/casper"
mksquashfs "$T/tree" "$T/cdrom/casper/filesystem.squashfs" -quiet -no-progress >/dev/null
mount -o remount,ro "$T/cdrom"
squashfs=$T/cdrom/casper/filesystem.squashfs

make_image "$T/root.fs" overlay1 16 "$T/tree"
for field in 'mode 040751' 'uid 12' 'gid 34'; do
	debugfs -w -R "sif <2> $field" "$T/root.fs" 2>/dev/null
done
truncate -s 24M "$T/disk.img"
sfdisk -q "$T/disk.img" <<-END
	label: gpt
	start=1MiB, size=2MiB
	start=4MiB, size=16MiB
END
dd if="$T/root.fs" of="$T/disk.img" bs=1M seek=4 conv=notrunc,sparse status=none
cp "$T/root.fs" "$T/device.img"
attach "$T/device.img"
device=$loop
cp -a "$T/tree" "$T/directory"

declare -A sources=([squashfs]=$squashfs [partition]=$T/disk.img [device]=$device [directory]=$T/directory)

commands=('[boot]' 'daemon = /etc/init.d/svscanboot' 'run = os_process p_daemon daemon' 'run = os_process p_ns namespace daemon' 'run = mount -t tmpfs mine /mnt')

# conf_of KIND LINE...: the configuration for one of them.
conf_of() {
	local kind=$1 lines=()

	shift
	[ "$kind" != partition ] || lines=('partition = 2')
	conf_with "${sources[$kind]}" ${lines[@]+"${lines[@]}"} "$@"
}

for namespace in private host; do
	for kind in squashfs partition device directory; do
		source=${sources[$kind]} name="$kind, $namespace"
		before=$(sum_of "$source")
		conf_of "$kind" "${commands[@]}"
		host_before

		# ---- up
		boot
		is "$status" 0 "$name: boots"
		enter sh -c 'grep " / / " /proc/self/mountinfo | tail -n 1'
		like "$out" ' / / rw,relatime .*- overlay overlay rw,' "$name: the root is an overlay"
		is "$(find /run/gcdboot -name overlay) $(grep -c "$staging" /proc/self/mountinfo)" ' 0' "$name: its parts are nowhere on the host"
		enter sh -c 'grep -cE "(lower|upper|overlay) " /proc/self/mountinfo; ls /run/gcdboot/default'
		unlike "$out" 'overlay$' "$name: and nowhere in the OS"
		enter stat -c '%u:%g %a' /
		is "$out" '12:34 751' "$name: the root directory has the source's owner and mode"
		enter sh -c 'cat /made/deep/file; ls /made/directory/casper; touch /made/directory/x'
		like "$out:$err" "^$(cat /etc/passwd)"$'\n'"filesystem.squashfs:.*Read-only" "$name: mount points are made in it, and bound to"
		wait_for 20 os enter svok /service/clock
		ok "$name: the services run" os enter svok /service/clock
		enter sh -c 'echo new >/root/new && echo changed >/etc/hostname && rm /etc/fstab && mv /var/lib/rename /var/lib/renamed && mkdir -p /brand/new && chmod 700 /sbin'
		is "$status $err" '0 ' "$name: files are made, changed, removed; a directory is renamed"
		enter sh -c 'cat /root/new /etc/hostname; ls /etc/fstab /var/lib/rename; ls /var/lib/renamed; stat -c %a /sbin'
		is "$out" $'new\nchanged\nfile\n700' "$name: and that is seen"
		[ $namespace = private ] || is "$(cat "$rootdir/root/new")" new "$name: on the host as well"
		run os status
		like "$status:$out" "^0:.*root +$source on $rootdir"$'\n'".*overlay +a tmpfs: what is written is gone at stop; [0-9.]+ MiB of [0-9.]+ used" \
			"$name: status tells of the source and the overlay"
		run os status --json
		like "$out" '"overlay": \{[^}]*"type": "tmpfs"[^}]*"used": [1-9]' "$name: status --json, too"
		for method in control proc climb; do
			run os enter chroot_escape --method=$method cat /etc/os-release
			is "$status $out" "0 $(cat /etc/os-release)" "$name: chroot_escape --method=$method arrives on the host"
		done

		# ---- and down
		stop
		is "$status" 0 "$name: stops"
		ok "$name: no process is left, also none of those with a namespace of their own" os_none p_daemon p_ns svscan
		host_same "$name: the host is as before"
		unchanged "$name"

		# ---- again, and the supervisor is killed
		boot
		enter sh -c 'ls -d /root/new /brand /etc/fstab /var/lib/rename/file; cat /etc/hostname'
		is "$out" "$(printf '/etc/fstab\n/var/lib/rename/file\n%s' "$(cat "$T/tree/etc/hostname")")" "$name: at the next boot what was written is gone"
		enter touch /root/kept
		old=$(supervisor)
		kill -KILL "$old"
		wait_gone 5 "$old"
		run os status
		like "$status:$out" '^4:.*overlay +a tmpfs' "$name, killed: status"
		run os boot --detach
		like "$status:$err" "^0:.*taken over" "$name, killed: taken over"
		enter ls /root/kept
		is "$status" 0 "$name, killed: with what was written"
		kill -KILL "$(supervisor)"
		stop
		is "$status" 0 "$name, killed again: stops"
		ok "$name, killed again: no process is left" os_none p_daemon p_ns svscan
		host_same "$name, killed again: the host is as before"
		unchanged "$name, killed again"

		# ---- a boot that fails
		conf_of "$kind" "${commands[@]}" 'run = touch /root/failed' 'require = exit 7'
		run os boot --detach
		like "$status:$err" '^1:.*exit status 7; everything is undone' "$name, failed: says so"
		rm -rf /run/gcdboot
		host_same "$name, failed: nothing is left"
		unchanged "$name, failed"
	done

	# ---- killed while it is put together
	kind=squashfs source=$squashfs before=$(sum_of "$squashfs")
	conf_of squashfs "${commands[@]}"
	for signal in TERM KILL; do
		name="SIG$signal among its parts, $namespace"
		strace -f -o "$T/trace" -e trace=umount2 -e inject=umount2:delay_enter=5000000:when=1 "$gcdboot" -c "$conf" boot --foreground >"$T/out" 2>&1 &
		tracer=$!
		builder_has_parts() { cat /proc/[0-9]*/mountinfo 2>/dev/null | grep -q " $staging/lower "; }
		ok "$name: a boot is there" wait_for 20 builder_has_parts
		is "$(in_state phase) $(in_state staging)" "building $staging" "$name: which is written down"
		kill "-$signal" "$(supervisor)"
		wait "$tracer" 2>/dev/null
		wait_for 10 os_none gcdboot
		if [ $signal = KILL ]; then
			stop
			is "$status" 0 "$name: a stop clears up"
		fi
		rm -rf "$T/out" "$T/trace" "$rundir/boot.log"
		rmdir "$rundir" /run/gcdboot 2>/dev/null
		host_same "$name: nothing is left"
		unchanged "$name"
	done

	# ---- the source cannot be mounted, or not be a layer
	name="no such type, $namespace"
	conf_with "$T/root.fs" 'type = romfs'
	run os boot --detach
	like "$status:$err" "^1:.*cannot mount $T/root.fs on $rootdir: this kernel has no romfs: load its module \(modprobe romfs\)" "$name: says what to do"
	rm -rf /run/gcdboot
	host_same "$name: nothing is left"
	name="overlays over overlays, $namespace"
	mkdir -p "$T"/{one,two}{,/upper,/work,/on}
	mount -t overlay -o "lowerdir=$T/directory,upperdir=$T/one/upper,workdir=$T/one/work" one "$T/one/on"
	conf_with "$T/one/on" '[boot]' 'run = touch /root/deep'
	boot
	is "$status" 0 "$name: over one a boot is possible"
	stop
	ok "$name: and nothing is written to it" test ! -e "$T/one/on/root/deep"
	mount -t overlay -o "lowerdir=$T/one/on,upperdir=$T/two/upper,workdir=$T/two/work" two "$T/two/on"
	host_before
	conf_with "$T/two/on"
	run os boot --detach
	like "$status:$err" "^1:.*cannot put an overlay over $T/two/on on $rootdir: the kernel refuses it as a layer" "$name: over two it is refused"
	rm -rf /run/gcdboot
	host_same "$name: nothing is left"
	umount "$T/two/on" "$T/one/on"
	rm -rf "$T/one" "$T/two"
	host_before
done

# ---- a kernel without overlayfs: the first mount(2) of a boot with mount = host asks for it
namespace=host
conf_with "$squashfs"
run strace -f -o /dev/null -e trace=mount -e inject=mount:error=ENODEV:when=1 "$gcdboot" -c "$conf" boot --detach
like "$status:$err" '^1:.*overlay = tmpfs: this kernel has no overlayfs \(it came with Linux 3.18\): load its module' "no overlayfs: says what to do"
rm -rf /run/gcdboot
host_same "no overlayfs: nothing is left"
namespace=private

# ---- a directory that is its own mount point; what is mounted below it does not come with it
source=$T/directory before=$(sum_of "$T/directory")
mount -t tmpfs inner "$source/data"
: >"$source/data/inner"
write_conf <<-END
	[root]
	source = $source
	overlay = tmpfs
	[boot]
	run = touch /data/written
END
run os check
like "$status:$out" "^0:.*overlay = tmpfs: 1 mount below $source will be left out" "a mount below a directory: check tells"
boot
like "$status:$err" "^0:.*overlay = tmpfs: 1 mount below $source is left out.*up: $source on $source" "a directory on itself: boots, and tells, too"
enter ls /data
is "$out" written "it is not there"
stop
is "$status $(ls "$source/data")" '0 inner' "and not written to"
umount "$source/data"
unchanged "a directory on itself"

# ---- options: for the source, and where they are those of a mount for the overlay; nothing makes the source writable
source=$device before=$(sum_of "$device")
conf_with "$device" 'options = rw,nosuid,noatime,errors=continue' '[boot]' 'run = touch /root/x'
boot
enter sh -c 'grep " / / " /proc/self/mountinfo | tail -n 1'
like "$out" ' / / rw,nosuid,noatime .*- overlay' "options: flags of a mount count for the root"
stop
unchanged "options = rw"
conf_with "$device" 'options = ro' '[boot]' 'require = touch /root/x'
boot
is "$status" 0 "options = ro is about the source: the OS can write"
stop
unchanged "options = ro"

# ---- fsck looks only
conf_with "$device" 'fsck = yes' '[boot]' 'run = touch /root/x'
boot
like "$status:$err" "^0:.*ok checking the filesystem on $device" "fsck of a clean filesystem: boots"
stop
unchanged "fsck"
cp "$T/root.fs" "$T/broken.img"
debugfs -w -R 'clri /etc' "$T/broken.img" 2>/dev/null
debugfs -w -R 'ssv state 0' "$T/broken.img" 2>/dev/null
source=$T/broken.img before=$(sum_of "$T/broken.img")
conf_with "$source" 'fsck = yes'
host_before
run os boot --detach
like "$status:$err" "^1:.*fsck has found errors on $source \(exit status [0-9]+\), and overlay = tmpfs does not write to it: run fsck $source by hand" \
	"fsck that finds errors: refused, and nothing is mended"
unchanged "fsck that finds errors"
rm -rf /run/gcdboot

# ---- a filesystem that was not unmounted in order: a copy of one that is mounted
mkdir "$T/mnt"
mount "$device" "$T/mnt"
cp -a "$T/tree/etc" "$T/mnt/root/etc"
sync -f "$T/mnt"
: >"$T/mnt/root/open"
(
	exec 9>"$T/mnt/root/open" && rm "$T/mnt/root/open" && sync -f "$T/mnt"
	cp "$T/device.img" "$T/dirty.img"
)
umount "$T/mnt"
like "$(dumpe2fs -h "$T/dirty.img" 2>/dev/null)" 'needs_recovery' "a dirty filesystem"
attach "$T/dirty.img"
source=$loop before=$(sum_of "$loop")
conf_with "$source" '[boot]' 'run = touch /root/x'
run os check
like "$out" "$source was not unmounted in order, and overlay = tmpfs does not mend it" "dirty: check says so"
unchanged "dirty, check"
boot
like "$status:$err" "^0:.*warning: $source was not unmounted in order, and overlay = tmpfs does not mend it" "dirty: boots with a warning"
enter ls /root/x
is "$status" 0 "dirty: the OS can write"
stop
is "$status" 0 "dirty: stops"
unchanged "dirty"
is "$(losetup --noheadings --output BACK-FILE | grep -c "^$source")" 0 "dirty: the loop device over the disk is gone"
run os plan --format=sh
printf '%s\n' "$out" >"$T/plan.sh"
run sh "$T/plan.sh" touch /root/x
is "$status" 0 "dirty: so does the printed script"
unchanged "dirty, script"
rmdir "$rootdir"
detach "$source"

# ---- an ext2 has no journal to leave alone
truncate -s 16M "$T/ext2.img"
mke2fs -q -t ext2 -d "$T/tree" "$T/ext2.img"
source=$T/ext2.img before=$(sum_of "$T/ext2.img")
conf_with "$source" '[boot]' 'run = touch /root/x'
run os check
is "$status" 0 "ext2: check"
boot
is "$status" 0 "ext2: boots"
stop
unchanged "ext2"

# ---- used by the host already: read-only it may be, written to not
mount -o loop,ro "$squashfs" "$T/mnt"
conf_with "$squashfs" '[boot]' 'require = touch /root/x'
host_before
boot
is "$status" 0 "the host has the same squashfs mounted: boots"
stop
is "$status" 0 "the host has the same squashfs mounted: stops"
host_same "the host has the same squashfs mounted: still"
umount "$T/mnt"
mount -o ro "$device" "$T/mnt"
conf_with "$device" '[boot]' 'require = touch /root/x'
host_before
boot
is "$status" 0 "the host has the device mounted read-only: boots"
stop
is "$status" 0 "the host has the device mounted read-only: stops"
host_same "the host has the device mounted read-only: still"
mount -o remount,rw "$T/mnt"
run os boot --detach
like "$status:$err" "^1:.*$device is already mounted on $T/mnt" "the host writes to the device: refused"
rm -rf /run/gcdboot
umount "$T/mnt"

# ---- who holds it is found
source=$device before=$(sum_of "$device")
conf_with "$device" '[boot]' 'run = chroot_escape sleep 106 </etc/os-release >/dev/null 2>&1 &' '[stop]' 'timeout = 1s'
boot
wait_for 20 pgrep -f '^sleep 106'
stop
like "$status:$err" "^1:.*pid [0-9]+ \(sleep\): has open as descriptor 0 [^ ]*/etc/os-release" "a process of the host holds a file of it: named"
holder=$(sed -nE 's/.*pid ([0-9]+) \(sleep\): has open.*/\1/p' <<<"$err" | head -n 1)
kill "$holder"
wait_gone 5 "$holder"
stop
is "$status" 0 "with the holder gone a stop clears up"
unchanged "holder"

# ---- check, without an overlay
write_conf <<-END
	[root]
	source = $squashfs
	path = $rootdir
END
run os check
like "$out" "the root is a squashfs: the OS cannot write to it"$'\n'".*overlay = tmpfs in \[root\]" "a squashfs without an overlay: check says what is missing"
conf_with "$squashfs"
run os check
like "$status:$out" '^0:.*nothing would stop a boot' "with one nothing is missing"

# A mount point that is missing is made at boot, where that is possible.
rm -r "$T/tree/proc"
make_image "$T/noproc.img" noproc 16 "$T/tree"
mksquashfs "$T/tree" "$T/noproc.squashfs" -quiet -no-progress >/dev/null
# check_of SOURCE LINE...: as conf_with, but without an overlay.
check_of() {
	conf_with "$@"
	sed -i '/^overlay/d' "$conf"
	run os check
}
missing='/proc in the root: it is missing, and the root is read-only'
check_of "$T/noproc.img"
like "$status:$out" '^0:.*nothing would stop a boot' "no /proc in an ext4: it can be made"
check_of "$T/noproc.img" 'options = noatime,ro'
like "$status:$out" "^1:.*$missing" "mounted read-only: it cannot"
check_of "$T/noproc.squashfs"
like "$status:$out" "^1:.*$missing" "in a squashfs: nor there"
conf_with "$T/noproc.squashfs" '[boot]' 'require = test -e /proc/self'
run os check
like "$status:$out" '^0:.*nothing would stop a boot' "in a squashfs with an overlay: it can"
boot
is "$status" 0 "and it boots"
stop

# ---- the printed script
for namespace in private host; do
	for kind in squashfs partition device directory; do
		source=${sources[$kind]} name="script, $kind, $namespace"
		before=$(sum_of "$source")
		conf_of "$kind" 'options = nosuid' '[boot]' 'run = touch /root/by_script'
		host_before
		run os plan --format=sh
		printf '%s\n' "$out" >"$T/plan.sh"
		run sh "$T/plan.sh" sh -c 'grep " / / " /proc/self/mountinfo | tail -n 1; ls /root/by_script'
		like "$status:$out" '^0:.* / / rw,nosuid,.*- overlay .*by_script' "$name: writes to the root"
		[ $namespace = private ] || umount -R "$rootdir"
		rmdir "$rootdir"
		host_same "$name: nothing else is left"
		unchanged "$name"
	done
done

done_testing
