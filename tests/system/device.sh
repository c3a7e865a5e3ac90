#!/bin/bash
# device: finding the root's disk: by tag and by path, the wait, what is refused and in which words, image files, fsck, and list.
# Functions are called through `run` and `ok`, and scripts for other namespaces stand in single quotes.
# shellcheck disable=SC2016,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

driver=$T/device_driver

# The flags that the modules were compiled with: a sanitizer's runtime has to be linked here too.
build_driver() {
	eval "$(cat "$BUILD/flags") -MF /dev/null -o \"\$driver\" \"\$lib_dir/driver/device_driver.c\" \"\$BUILD/libparts.a\" -lmount -lblkid -lsmartcols"
}

# find_source SOURCE [WAIT_MS [TYPE [PARTITION]]]
find_source() {
	run "$driver" find "$@"
}

# finds WANTED DESCRIPTION SOURCE...: the driver finds just that. `waiting` lines are not looked at.
finds() {
	local wanted=$1 description=$2

	shift 2
	find_source "$@"
	is "$status: $(grep -v '^waiting$' <<<"$out")" "0: $wanted" "$description"
}

# refuses WANTED DESCRIPTION SOURCE...: exit status 1, with these words.
refuses() {
	local wanted=$1 description=$2

	shift 2
	find_source "$@"
	is "$status: $err" "1: $wanted" "$description"
}

uuid_of() {
	blkid -p -s UUID -o value "$1"
}

# empty_ext4 FILE LABEL: 8 MB
empty_ext4() {
	make_image "$1" "$2" 8 -
}

# start_find SOURCE...: in the background, and returns when it is asleep. finish_find takes its status and output.
start_find() {
	"$driver" "$@" >"$T/late.out" 2>"$T/late.err" &
	late=$!
	wait_for 20 grep -q waiting "$T/late.out"
}

finish_find() {
	wait "$late"
	status=$?
	out=$(grep -v '^waiting$' "$T/late.out")
	err=$(cat "$T/late.err")
}

ok "the driver builds" build_driver

# ---- tags
empty_ext4 "$T/one.img" gcdt-one
empty_ext4 "$T/two.img" gcdt-two
empty_ext4 "$T/three.img" gcdt-three
attach "$T/one.img"
one=$loop
attach "$T/two.img"
two=$loop
attach "$T/three.img"
three=$loop
finds "block $two ext4 0 0" "LABEL= finds one of several" LABEL=gcdt-two
finds "block $three ext4 0 0" "UUID=" "UUID=$(uuid_of "$three")"
finds "block $three ext4 0 0" "UUID= in capitals" "UUID=$(uuid_of "$three" | tr a-f A-F)"
find_source LABEL=GCDT-two
is "$status" 1 "a label in capitals is another label"
find_source LABEL=gcdt-tw
is "$status" 1 "the beginning of a label is another label"

empty_ext4 "$T/twin.img" gcdt-two
attach "$T/twin.img"
twin=$loop
refuses "LABEL=gcdt-two matches $two and $twin: use UUID=$(uuid_of "$two") for $two or UUID=$(uuid_of "$twin") for $twin" \
	"two filesystems with one label" LABEL=gcdt-two
finds "block $twin ext4 0 0" "the UUID that the message names finds it" "UUID=$(uuid_of "$twin")"
cp "$T/one.img" "$T/copy.img"
attach "$T/copy.img"
copy=$loop
refuses "LABEL=gcdt-one matches $one and $copy: use $one or $copy" "a copy, with the same UUID" LABEL=gcdt-one
detach "$copy"
detach "$twin"

# ---- the wait
find_source LABEL=gcdt-none
is "$status" 1 "none, without a wait"
like "$err" '^no filesystem with LABEL=gcdt-none \(waited 0 s\); what there is: .*ext4 LABEL=' "what there is"
unlike "$out" waiting "it does not wait"
find_source LABEL=gcdt-none 300
like "$err" '^no filesystem with LABEL=gcdt-none \(waited 0.3 s\); what there is: ' "none, after the wait"
is "$out" waiting "it tells that it waits"

empty_ext4 "$T/late.img" gcdt-late
start_find find LABEL=gcdt-late 60000
attach "$T/late.img"
late_loop=$loop
finish_find
is "$status: $out" "0: block $late_loop ext4 0 0" "a disk that comes during the wait is found"
detach "$late_loop"
start_find event
attach "$T/late.img"
late_loop=$loop
finish_find
is "$out" event "the kernel's event alone wakes"
detach "$late_loop"

mount -t tmpfs tmpfs /dev/shm
start_find find /dev/shm/by-id 60000
ln -s "$three" /dev/shm/by-id
finish_find
is "$status: $out" "0: block $three ext4 0 0" "a link in /dev that comes during the wait, and is followed"
umount /dev/shm

# ---- paths
finds "block $two ext4 0 0" "a device" "$two"
ln -s "$two" "$T/link"
finds "block $two ext4 0 0" "a link to a device: its own name" "$T/link"
mkdir "$T/dir"
finds "directory $T/dir - 0 0" "a directory" "$T/dir"
refuses "no such device, directory or image file: $T/none" "a path that is not there" "$T/none" 60000
unlike "$out" waiting "it is not waited for"
find_source /dev/gcdt-none 200
like "$err" '^no device /dev/gcdt-none \(waited 0.2 s\); what there is: ' "a path in /dev is waited for"
refuses "/dev/null is not a block device, a directory or an image file" "a character device" /dev/null
mkfifo "$T/fifo"
refuses "$T/fifo is not a block device, a directory or an image file" "a fifo" "$T/fifo"

# ---- used elsewhere
mkdir "$T/on" "$T/"$'two\nlines'
mount "$two" "$T/on"
refuses "$two is already mounted on $T/on" "mounted elsewhere, by label" LABEL=gcdt-two
refuses "$two is already mounted on $T/on" "mounted elsewhere, by path" "$T/link"
is "$("$driver" free "$two")" 0 "the kernel says that it is used"
mkdir "$T/on/sub"
mount --bind "$T/on/sub" "$T/"$'two\nlines'
umount "$T/on"
refuses "$two is already mounted on $T/two\\012lines" "a part of it is mounted, on a name of two lines" "$two"
umount "$T/"$'two\nlines'
is "$("$driver" free "$two")" 1 "the kernel says that it is free"
unshare -m --propagation private bash -c 'mount "$1" "$2" && : >"$3" && read -r _ <"$4"' - "$two" "$T/on" "$T/mounted" "$T/fifo" &
wait_for 20 test -e "$T/mounted"
find_source LABEL=gcdt-two
like "$err" "^$two is already mounted on $T/on in another mount namespace \(of process [0-9]+\)$" "mounted in another mount namespace"
echo >"$T/fifo"
wait
finds "block $two ext4 0 0" "free again" LABEL=gcdt-two

# ---- partitions
truncate -s 64M "$T/gpt.img"
sfdisk -q "$T/gpt.img" <<-EOF
	label: gpt
	size=8M, name=gcdt-boot
	size=8M, name="gcdt swap"
	size=20M, name=gcdt-root
EOF
attach "$T/gpt.img"
gpt=$loop
mke2fs -q -t ext4 -L boot "${gpt}p1"
mkswap -q "${gpt}p2"
mke2fs -q -t ext4 -L / "${gpt}p3"
finds "block ${gpt}p3 ext4 0 0" "PARTLABEL=" PARTLABEL=gcdt-root
finds "block ${gpt}p3 ext4 0 0" "PARTUUID=, in capitals" "PARTUUID=$(blkid -p -s PART_ENTRY_UUID -o value "${gpt}p3" | tr a-f A-F)"
refuses "${gpt}p2 is swap space (swap), not a filesystem" "PARTLABEL= of swap" "PARTLABEL=gcdt swap"
refuses "$gpt holds a partition table: name one of its partitions" "a disk with partitions" "$gpt"
like "$("$driver" scan | grep "^$gpt|")" '\|67108864\|-\|partition table\|-\|-\|-\|-$' "the scan gives it no type"
find_source "${gpt}p3" 0 auto 1
is "$status: $err" "2: partition = 1 is for image files: ${gpt}p3 is a device: name the partition's own device as source" "partition = with a device"
find_source LABEL=gcdt-two 0 auto 1
is "$status" 2 "partition = with a label"
find_source "$T/dir" 0 auto 1
is "$status" 2 "partition = with a directory"

# ---- image files
finds "image $T/gpt.img ext4 1048576 8388608" "partition 1 of an image" "$T/gpt.img" 0 auto 1
finds "image $T/gpt.img ext4 17825792 20971520" "partition 3 of an image" "$T/gpt.img" 0 auto 3
finds "image $T/one.img ext4 0 0" "an image that is one filesystem" "$T/one.img"
ln -s gpt.img "$T/gpt.link"
finds "image $T/gpt.img ext4 17825792 20971520" "a link to an image: its own name" "$T/gpt.link" 0 auto 3
refuses "$T/gpt.img has no partition 7: it has 1, 2, 3" "a partition that it does not have" "$T/gpt.img" 0 auto 7
refuses "$T/gpt.img is partitioned: name one with partition = N (1 ext4 'boot', 2 swap, 3 ext4 '/')" "no partition named" "$T/gpt.img"
refuses "partition 2 of $T/gpt.img is swap space (swap), not a filesystem" "a partition with swap" "$T/gpt.img" 0 auto 2
refuses "$T/one.img has no partition 1: it has no partition table" "an image without a table" "$T/one.img" 0 auto 1
: >"$T/empty.img"
refuses "$T/empty.img is empty" "an empty file" "$T/empty.img"
truncate -s 1M "$T/zero.img"
refuses "$T/zero.img holds nothing that is known: no filesystem; where you know its type, say so with type =" "a file of zeros" "$T/zero.img"
finds "image $T/zero.img - 0 0" "a file of zeros, with a type" "$T/zero.img" 0 ext4

mount "${gpt}p3" "$T/on"
refuses "$T/gpt.img is attached as ${gpt}p3, which is already mounted on $T/on" "an image whose partition is mounted" "$T/gpt.img" 0 auto 3
finds "image $T/gpt.img ext4 1048576 8388608" "another partition of it" "$T/gpt.img" 0 auto 1
umount "$T/on"
mount "$three" "$T/on"
refuses "$T/three.img is attached as $three, which is already mounted on $T/on" "an image that is mounted as a whole" "$T/three.img"
umount "$T/on"
finds "image $T/three.img ext4 0 0" "an image that is attached but not mounted" "$T/three.img"

cp --sparse=always "$T/gpt.img" "$T/cut.img"
truncate -s 30M "$T/cut.img"
refuses "$T/cut.img is truncated: it is 31457280 bytes long, the disk that its partition table describes has 67108864" "a GPT image that was cut" \
	"$T/cut.img" 0 auto 3
refuses "$T/cut.img is truncated: it is 31457280 bytes long, the disk that its partition table describes has 67108864" "the same, no partition named" \
	"$T/cut.img"

truncate -s 64M "$T/dos.img"
sfdisk -q "$T/dos.img" <<-EOF
	label: dos
	size=8M
	size=40M, type=5
	start=12M, size=8M
	start=24M, size=16M
EOF
mke2fs -q -t ext4 -E offset=$((24 * 1024 * 1024)) "$T/dos.img" 8M
finds "image $T/dos.img ext4 25165824 16777216" "a logical partition" "$T/dos.img" 0 auto 6
refuses "$T/dos.img has no partition 2 to mount (it is an extended one): it has 1, 5, 6" "an extended partition" "$T/dos.img" 0 auto 2
refuses "partition 5 of $T/dos.img holds nothing that is known: no filesystem; where you know its type, say so with type =" "an empty partition" \
	"$T/dos.img" 0 auto 5
finds "image $T/dos.img - 12582912 8388608" "an empty partition, with a type" "$T/dos.img" 0 ext4 5
truncate -s 30M "$T/dos.img"
refuses "$T/dos.img is truncated: it is 31457280 bytes long, its partition 6 ends at sector 81920 of 512 bytes" "an MBR image that was cut" \
	"$T/dos.img" 0 auto 6

# json_line FILE DEVICE: what `list --json` says of the device.
json_line() {
	perl -MJSON::PP -e 'local $/; open my $f, "<", $ARGV[0]; my ($d) = grep { $_->{device} eq $ARGV[1] } @{decode_json(<$f>)->{filesystems}};
		binmode STDOUT, ":utf8"; print join "|", $d->{type}, $d->{size}, $d->{label}, $d->{mounted}' "$@"
}

# ---- hostile labels, on disk and in the mount table
empty_ext4 "$T/hostile.img" gcdt
attach "$T/hostile.img"
hostile=$loop
# shellcheck disable=SC1003
for label in '$(id)' $'two\nlines' $'\e[2Jclear' '"quoted\' $'\xff\xfe' '日本'; do
	tune2fs -L "$label" "$hostile" >/dev/null
	finds "block $hostile ext4 0 0" "LABEL=$(printf %q "$label")" "LABEL=$label"
	find_source LABEL=gcdt-none
	unlike "$out$err" $'[\x01-\x1f\x7f]' "... is shown without control characters"
	mount "$hostile" "$T/"$'two\nlines'
	run "$driver" list
	is "$(grep -c "^$hostile " <<<"$out"): $(tr -d '\n' <<<"$out" | LC_ALL=C grep -c $'[\x01-\x1f\x7f]')" '1: 0' "... has one line in the table"
	"$driver" list --json >"$T/list.json"
	run json_line "$T/list.json" "$hostile"
	# Bytes that are no UTF-8 are written out.
	case $label in
	$'\xff\xfe') shown='\xff\xfe' ;;
	*) shown=$label ;;
	esac
	is "$out" "ext4|8388608|$shown|$T/"$'two\nlines' "... is whole in the JSON"
	umount "$T/"$'two\nlines'
done

# ---- list
mount "$one" "$T/on"
run "$driver" list
like "$out" '^DEVICE +LABEL +UUID +TYPE +SIZE +MOUNTED' "list has a heading"
like "$out" "$one +gcdt-one +$(uuid_of "$one") +ext4 +8M $T/on" "list shows a filesystem, and where it is mounted"
like "$out" "${gpt}p3 +/ " "list shows a partition"
unlike "$out" "${gpt}p2|$gpt " "list leaves out swap and whole disks with partitions"
umount "$T/on"
empty_table() {
	unshare -m --propagation private bash -c 'mount --bind /dev/null /proc/partitions && exec "$@"' - "$@"
}
run empty_table "$driver" list
is "$status: $out: $err" "0: : gcdboot: no filesystem found that could be a root" "list with nothing to show"
run empty_table "$driver" list --json
is "$status: $(tr -d ' \n' <<<"$out")" '0: {"filesystems":[]}' "the same as JSON"
run "$driver" list --json
run bash -c '"$1" list >/dev/full' - "$driver"
is "$status" 1 "list fails where it cannot write"

# ---- what is no filesystem. The signatures are put down by hand: cryptsetup and LVM are not needed for that.
truncate -s 8M "$T/luks.img"
perl -e 'print pack("a6 n Q> Q> a48 a32 x64 a40", "LUKS\xba\xbe", 2, 16384, 1, "gcdt-luks", "sha256", "11111111-2222-3333-4444-555555555555")' |
	dd of="$T/luks.img" conv=notrunc status=none
attach "$T/luks.img"
luks=$loop
refuses "$luks holds an encrypted volume (crypto_LUKS): open it first with cryptsetup" "LUKS, by label" LABEL=gcdt-luks
refuses "$luks holds an encrypted volume (crypto_LUKS): open it first with cryptsetup" "LUKS with a type" "$luks" 0 ext4
refuses "$T/luks.img holds an encrypted volume (crypto_LUKS): open it first with cryptsetup" "LUKS in an image" "$T/luks.img"
tune2fs -L gcdt-luks "$hostile" >/dev/null
finds "block $hostile ext4 0 0" "the filesystem counts, not the encrypted volume of the same label" LABEL=gcdt-luks

truncate -s 8M "$T/lvm.img"
perl -e '
	my $rest = pack("L< a8 a32", 32, "LVM2 001", "abcdefghijklmnopqrstuvwxyz012345");
	$rest .= "\0" x (492 - length $rest);
	my $crc = 0xf597a6cf;
	for my $byte (unpack "C*", $rest) {
		$crc ^= $byte;
		$crc = $crc & 1 ? ($crc >> 1) ^ 0xedb88320 : $crc >> 1 for 1 .. 8;
	}
	print "\0" x 512, pack("a8 Q< L<", "LABELONE", 1, $crc), $rest' | dd of="$T/lvm.img" conv=notrunc status=none
attach "$T/lvm.img"
lvm=$loop
refuses "$lvm is an LVM physical volume (LVM2_member): activate it with vgchange -ay, and name the logical volume" "LVM" "$lvm"

cp "$T/three.img" "$T/both.img"
perl -e 'print pack("a4 x24 S< S<", "hsqs", 4, 0)' | dd of="$T/both.img" conv=notrunc status=none
attach "$T/both.img"
both=$loop
refuses "$both has the signatures of several filesystems: say which one with type =, or erase the wrong one with wipefs" "ext4 and squashfs at once" "$both"
finds "block $both - 0 0" "the same, with a type" "$both" 0 ext4
like "$("$driver" scan | grep "^$both|")" '\|-\|ambivalent\|' "the scan says so"

# ---- a /dev without udev
# static_dev COMMAND: in a mount namespace whose /dev has null and what the command makes.
static_dev() {
	unshare -m --propagation private bash -c 'mount -t tmpfs tmpfs /dev && mknod /dev/null c 1 3 && eval "$1"' - "$1"
}
minor=${one#/dev/loop}
run static_dev "mkdir /dev/block; mknod /dev/block/7:$minor b 7 $minor; '$driver' find LABEL=gcdt-one"
is "$out" "block /dev/block/7:$minor ext4 0 0" "no /dev/loopN: the node in /dev/block"
run static_dev "mknod $one b 7 ${two#/dev/loop}; mkdir /dev/block; mknod /dev/block/7:$minor b 7 $minor; '$driver' find LABEL=gcdt-one"
is "$out" "block /dev/block/7:$minor ext4 0 0" "a node with the name of another device is not taken"
run static_dev "'$driver' find LABEL=gcdt-one"
like "$err" '^no filesystem with LABEL=gcdt-one \(waited 0 s\); what there is: nothing' "no node at all: left out"

# ---- a look after an event: what has had none is not opened, so that a slow device does not hold it up

# opened DEVICE: how often the driver opened it.
opened() {
	grep -c "openat(.*\"$1\"" "$T/trace"
}
run strace -e trace=openat -o "$T/trace" "$driver" rescan "$one"
is "$status" 0 "a second look"
is "$(opened "$one") $(opened "$two")" "2 1" "opens the device of the event, and no other"
like "$out" "$two gcdt-two" "but knows of both"
like "$out" "$one gcdt-one" "with what is on them"

# ---- fsck
run "$driver" fsck "$one" ext4
is "$status" 0 "fsck of a clean filesystem"
like "$out" 'gcdt-one: clean' "its output goes to the log"
debugfs -w -R 'ssv free_blocks_count 5' "$one" 2>/dev/null
debugfs -w -R 'ssv state 0' "$one" 2>/dev/null
run "$driver" fsck "$one" ext4
is "$status: $err" "0: " "fsck of what it can mend"
run e2fsck -f -n "$one"
is "$status" 0 "it is mended"
debugfs -w -R 'clri <2>' "$one" 2>/dev/null
debugfs -w -R 'ssv state 0' "$one" 2>/dev/null
run "$driver" fsck "$one" ext4
is "$status: $err" "1: fsck could not mend $one (exit status 4): run fsck $one by hand" "fsck of what it cannot mend"
mount "$two" "$T/on"
run "$driver" fsck "$two" ext4
is "$status: $err" "1: fsck could not check $two (exit status 8): run fsck $two by hand" "fsck of a mounted filesystem"
umount "$T/on"
run "$driver" fsck "$two" gcdtfs
is "$status: $err" "1: cannot check $two: fsck.gcdtfs not found: install it, or say fsck = no" "no checker for the type"
run "$driver" fsck "$two" auto
is "$status: $err" "1: cannot check $two: fsck = yes needs one filesystem type that is known, say it with type =" "no type"
run unshare -m --propagation private bash -c 'mount -t tmpfs tmpfs /etc && exec "$1" fsck "$2" ext4' - "$driver" "$two"
is "$status" 0 "fsck needs no /etc/fstab"

done_testing
