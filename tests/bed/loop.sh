# shellcheck shell=bash
# loop.sh: disk images as block devices, and back. Sourced by the demo and by the system tests' library.

# loop_attach IMAGE: attaches it and prints the device, /dev/loopN; its partitions are then /dev/loopNpM. -P asks the kernel to read the partition
# table; one that cannot (CONFIG_EFI_PARTITION is off) is told by partx, which changes nothing where the partitions are known already.
loop_attach() {
	local image=$1 loop

	loop=$(losetup --find --show --partscan "$image") || return
	if [ -n "$(blkid -p -s PTTYPE -o value "$loop")" ] && ! partx --update "$loop"; then
		losetup --detach "$loop"
		return 1
	fi
	echo "$loop"
}

# loop_detach DEVICE: lets go of the partitions and the device, and waits until it is free: the kernel detaches a device that is still held only with
# its last user. Not attached: nothing to do.
loop_detach() {
	local loop=$1 image try

	loop_is_attached "$loop" || return 0
	image=$(loop_image "$loop")
	losetup --detach "$loop" || return
	for try in $(seq 50); do
		[ "$(loop_image "$loop")" = "$image" ] || return 0
		sleep 0.1
	done
	echo "$loop is still held after $((try / 10)) seconds" >&2
	return 1
}

# loop_image DEVICE: which file it stands for now, as numbers; nothing where it is free. A device that was let go is soon somebody else's.
loop_image() {
	losetup --list --noheadings --output BACK-MAJ:MIN,BACK-INO "$1" 2>/dev/null | awk 'NF == 2 { print $1 "/" $2 }'
}

loop_is_attached() {
	[ -e "/sys/block/${1#/dev/}/loop/backing_file" ]
}

# loop_swaps DEVICE: it and its partitions, where they are in use as swap.
loop_swaps() {
	grep -oE "^$1(p[0-9]+)?[[:space:]]" /proc/swaps
}

loop_swapoff() {
	loop_swaps "$1" | xargs -r swapoff
}
