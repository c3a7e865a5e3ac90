#!/bin/bash
# sources: [root] of the configuration: every kind of source, type and options, the wait, fsck, the mount point; and what is refused, by name, with nothing
# left behind.
# Functions are called through `ok`.
# shellcheck disable=SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

make_root "$T/tree"
printf '#!/bin/sh\nsleep 1000\n' >"$T/tree/etc/init.d/svscanboot"
: >"$T/tree/root/marker"

# root_conf LINE...: a configuration with these lines in [root], which starts next to nothing.
root_conf() {
	write_conf < <(
		echo "[root]"
		printf '%s\n' "$@"
		printf '[boot]\ndaemon = sleep 1000\n'
	)
}

# root_device: device number and options of the OS's root, as the OS sees it.
root_device() {
	os enter sh -c 'grep " / / " /proc/self/mountinfo' | tail -n 1 | sed 's/^[^ ]* [^ ]* \([^ ]*\) [^ ]* [^ ]* \([^ ]*\) .*- \([^ ]*\) .*/\1 \2 \3/'
}

number() {
	lsblk -dno MAJ:MIN "$1" | tr -d ' '
}

# boots_from DEVICE DESCRIPTION: with the configuration as it is; and stops.
boots_from() {
	boot
	is "$status" 0 "$2: boots"
	like "$(root_device)" "^$(number "$1") rw,relatime ext4$" "$2: from the right device"
	stop
	is "$status" 0 "$2: stops"
}

# refused STATUS REGEX DESCRIPTION: the boot fails with nothing left: no mount, no lock, no directory.
refused() {
	run os boot -d
	is "$status" "$1" "$3: refused"
	like "$err" "$2" "$3: in these words"
	host_table "$T/table.after"
	same "$T/table" "$T/table.after" "$3: nothing is mounted"
	is "$(find /run/gcdboot ! -name boot.log ! -type d 2>/dev/null)" "" "$3: no lock is left"
	ok "$3: the mount point was not made" test ! -e "$T/os"
}

host_table "$T/table"

# ---- tags and paths

truncate -s 60M "$T/gpt.img"
sfdisk -q "$T/gpt.img" <<-END
	label: gpt
	start=1MiB, size=8MiB, name=gcdsrc-boot
	start=10MiB, size=16MiB, name=gcdsrc-root
	start=30MiB, size=16MiB, name=gcdsrc-swap
END
make_image "$T/root.fs" gcdsrc 16 "$T/tree"
dd if="$T/root.fs" of="$T/gpt.img" bs=1M seek=10 conv=notrunc,sparse status=none
rm "$T/root.fs"
attach "$T/gpt.img"
disk=$loop
part=${disk}p2
mke2fs -q -t ext4 -L gcdsrc-boot "${disk}p1"
mkswap -q "${disk}p3"
uuid=$(blkid -p -s UUID -o value "$part")
partuuid=$(blkid -p -s PART_ENTRY_UUID -o value "$part")
ln -s "$part" "$T/by-name"
for source in "LABEL=gcdsrc" "LABEL=\"gcdsrc\"" "UUID=$uuid" "UUID=${uuid^^}" "PARTLABEL=gcdsrc-root" "PARTUUID=$partuuid" "$part" "$T/by-name"; do
	root_conf "source = $source" "path = $T/os"
	boots_from "$part" "source = $source"
done
ok "the mount point that was made is gone" test ! -e "$T/os"

run "$gcdboot" -c "$conf" plan
is "$status" 0 "plan does not need the device"

# ---- the default mount point

root_conf "source = $part"
boot
like "$err" "up: $part on /usr/local/GCD" "without path: /usr/local/GCD"
stop
mkdir -p "$T/there"
: >"$T/there/file"
ln -s there "$T/link"
root_conf "source = $part" "path = $T/link"
boot
like "$err" "up: $part on $T/there," "a link as mount point is resolved"
ok "a private boot covers nothing on the host" test -e "$T/there/file"
stop
ok "a directory that was there stays" test -e "$T/there/file"

# ---- type and options

root_conf "source = $part" "path = $T/os" "type = ext4" "options = ro,nosuid,noatime"
boot
is "$status" 0 "type and options"
like "$(root_device)" "^$(number "$part") ro,nosuid,noatime ext4$" "are those of the root inside"
enter touch /root/x
unlike "$status" '^0$' "a read-only root cannot be written"
run os status --json
is "$(jq -r .type <"$T/.out" 2>/dev/null || perl -MJSON::PP -e 'local $/; print decode_json(<STDIN>)->{type}' <"$T/.out")" ext4 "status knows the type"
stop
root_conf "source = $part" "path = $T/os" "type = xfs"
refused 1 "cannot mount $part on $T/os as xfs" "a wrong type"
root_conf "source = $part" "path = $T/os" "options = nonsense=1"
refused 1 "cannot mount $part on $T/os" "an unknown mount option"

# ---- image files

root_conf "source = $T/gpt.img" "partition = 2" "path = $T/os"
detach "$disk"
boot
is "$status" 0 "an image with a partition: boots"
enter test -e /root/marker
is "$status" 0 "is the root"
stop
is "$status:$(losetup -n -O NAME -j "$T/gpt.img")" "0:" "its loop device goes with it"
dd if="$T/gpt.img" of="$T/fs.img" bs=1M skip=10 count=16 status=none
root_conf "source = $T/fs.img" "path = $T/os"
boot
enter test -e /root/marker
is "$status" 0 "an image that is one filesystem"
stop
is "$status:$(losetup -n -O NAME -j "$T/fs.img")" "0:" "its loop device, too, goes with it"
root_conf "source = $T/gpt.img" "partition = 9" "path = $T/os"
refused 1 "has no partition 9: it has 1, 2, 3" "a partition that the image does not have"
root_conf "source = $T/gpt.img" "partition = 3" "path = $T/os"
refused 1 "swap" "a partition of swap"
is "$(losetup -n -O NAME -j "$T/gpt.img")" "" "no loop device is left by that"
head -c 20M "$T/gpt.img" >"$T/cut.img"
root_conf "source = $T/cut.img" "partition = 2" "path = $T/os"
refused 1 "is truncated" "a truncated image"

# Tables that count in sectors of 4096 bytes, as a disk has them that was copied into a file; and logical partitions, in their extended one.
# partitioned FILE NUMBER OFFSET DESCRIPTION: with the root at OFFSET, in MiB, which is partition NUMBER.
partitioned() {
	dd if="$T/fs.img" of="$1" bs=1M seek="$3" conv=notrunc,sparse status=none
	root_conf "source = $1" "partition = $2" "path = $T/os"
	boot
	enter test -e /root/marker
	is "$status" 0 "$4: boots, and is the root"
	stop
	is "$status:$(losetup -n -O NAME -j "$1")" "0:" "$4: stops, and its loop device is gone"
	sed -i 's/^daemon.*/run = true/' "$conf"
	run os plan --format=sh
	printf '%s\n' "$out" >"$T/plan.sh"
	run sh "$T/plan.sh" test -e /root/marker
	is "$status:$(losetup -n -O NAME -j "$1")" "0:" "$4: the printed script boots it as well"
	rmdir "$T/os"
}
truncate -s 40M "$T/gpt4k.img" "$T/mbr4k.img" "$T/logical.img"
printf '%s\n' g n 1 256 +2M n 2 1024 +16M w | fdisk -b 4096 "$T/gpt4k.img" >/dev/null 2>&1
partitioned "$T/gpt4k.img" 2 4 "a GPT in sectors of 4096"
printf '%s\n' o n p 1 256 +2M n p 2 1024 +16M w | fdisk -b 4096 "$T/mbr4k.img" >/dev/null 2>&1
partitioned "$T/mbr4k.img" 2 4 "an MBR in sectors of 4096"
printf '%s\n' 'label: dos' 'start=1MiB, size=1MiB' 'start=2MiB, size=36MiB, type=5' 'start=3MiB, size=2MiB' 'start=8MiB, size=16MiB' | sfdisk -q "$T/logical.img"
partitioned "$T/logical.img" 6 8 "a logical partition of an MBR"
root_conf "source = $T/logical.img" "partition = 2" "path = $T/os"
refused 1 "has no partition 2 to mount \(it is an extended one\): it has 1, 5, 6" "an extended partition"
rm "$T/gpt4k.img" "$T/mbr4k.img" "$T/logical.img"

# ---- a directory

cp -a "$T/tree" "$T/dir"
root_conf "source = $T/dir"
boot
like "$err" "up: $T/dir on $T/dir" "a directory without path is its own mount point"
enter test -e /root/marker
is "$status" 0 "and the root"
stop
root_conf "source = $T/dir" "path = $T/os"
boot
like "$err" "up: $T/dir on $T/os" "a directory with a path"
enter test -e /root/marker
is "$status" 0 "is the root, too"
stop
ok "the mount point is gone" test ! -e "$T/os"
mkdir "$T/dir/sub"
mount -t tmpfs inner "$T/dir/sub"
: >"$T/dir/sub/inner"
root_conf "source = $T/dir" "path = $T/os"
boot
enter test -e /sub/inner
is "$status" 0 "what is mounted below a directory comes with it"
stop
umount "$T/dir/sub"

# ---- the wait

attach "$T/fs.img"
tune2fs -L gcdlate "$loop" >/dev/null
detach "$loop"
root_conf "source = LABEL=gcdlate" "path = $T/os" "wait = 60s"
os boot -d 2>"$T/late.err" &
late=$!
ok "while it waits, it is coming up" wait_for 10 bash -c '"$0" -c "$1" status | grep -q "coming up"' "$gcdboot" "$conf"
run os boot -d
like "$status:$err" "^0:.*already running since" "a second gcdboot finds the one that waits"
run os enter true
is "$status" 1 "there is nothing to enter yet"
like "$err" "not up yet" "and it says so"
attach "$T/fs.img"
wait "$late"
is "$?" 0 "a device that appears during the wait is booted"
like "$(cat "$T/late.err")" "up: $loop on" "by name"
like "$(root_device)" "^$(number "$loop") " "and is the root"
stop
is "$status" 0 "and stopped"
late_loop=$loop
root_conf "source = LABEL=gcdnever" "path = $T/os" "wait = 1s"
refused 1 "no filesystem with LABEL=gcdnever \(waited 1 s\); what there is: .*gcdlate" "none, after the wait"
root_conf "source = LABEL=gcdnever" "path = $T/os" "wait = 60s"
os boot -d 2>"$T/late.err" &
late=$!
wait_for 10 test -e /run/gcdboot/default/control
run os stop
is "$status" 0 "a boot that waits can be stopped"
wait "$late"
is "$?" 1 "and has failed then"
like "$(cat "$T/late.err")" "stopped before the OS was up" "in these words"
ok "with nothing left" test ! -e /run/gcdboot/default/lock -a ! -e "$T/os"

# ---- refused by name

make_image "$T/twin.img" gcdlate 8 -
attach "$T/twin.img"
root_conf "source = LABEL=gcdlate" "path = $T/os"
refused 1 "LABEL=gcdlate matches ($late_loop and $loop|$loop and $late_loop): use UUID=" "two filesystems with the label"
detach "$loop"
mkdir "$T/elsewhere"
mount "$late_loop" "$T/elsewhere"
host_table "$T/table"
refused 1 "$late_loop is already mounted on $T/elsewhere" "one that is mounted elsewhere"
root_conf "source = $T/fs.img" "path = $T/os"
refused 1 "$T/fs.img is attached as $late_loop, which is already mounted on $T/elsewhere" "its image as well"
umount "$T/elsewhere"
host_table "$T/table"
root_conf "source = $T/none.img" "path = $T/os"
refused 1 "no such device, directory or image file: $T/none.img" "a path that is not there"
root_conf "source = /dev/null" "path = $T/os"
refused 1 "/dev/null is not a block device" "a device that is none"
root_conf "source = $T/dir" "partition = 1" "path = $T/os"
refused 2 "partition = 1 is for image files" "a partition of a directory"
: >"$T/plain"
root_conf "source = $late_loop" "path = $T/plain/os"
refused 1 "$T/plain.*(is not a directory|Not a directory)" "a mount point below a file"
root_conf "source = $late_loop" "path = $T/plain"
refused 1 "the mount point $T/plain is not a directory" "a file as mount point"
ln -s / "$T/slash"
root_conf "source = $late_loop" "path = $T/slash"
refused 2 "is the running system" "a mount point that leads to /"
root_conf "source = /"
refused 2 "is the running system" "the host's own root"

# ---- fsck

root_conf "source = $late_loop" "path = $T/os" "fsck = yes"
boot
is "$status" 0 "fsck of a good filesystem: boots"
like "$err" "ok checking the filesystem on $late_loop" "and is a step"
ok "its output is in the boot log" grep -q 'gcdlate: clean' /run/gcdboot/default/boot.log
stop
debugfs -w -R 'ssv free_blocks_count 5' "$late_loop" 2>/dev/null
debugfs -w -R 'ssv state 0' "$late_loop" 2>/dev/null
boot
is "$status" 0 "what fsck can mend boots"
stop
ok "and is mended" e2fsck -f -n "$late_loop"
debugfs -w -R 'clri <2>' "$late_loop" 2>/dev/null
debugfs -w -R 'ssv state 0' "$late_loop" 2>/dev/null
refused 1 "fsck could not mend $late_loop" "what fsck cannot mend"
detach "$late_loop"

done_testing
