#!/bin/bash
# plan_sh: the script that `plan --format=sh` prints does by hand what a boot does.
# shellcheck disable=SC2119
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

root=$T/root
script=$T/plan.sh

# make_script: from the test's configuration.
make_script() {
	run os plan --format=sh
	is "$status" 0 "$1: printed"
	printf '%s\n' "$out" >"$script"
}

# mounts_of FILE TARGET...: device, root and options of the mounts on the targets, from mountinfo. The topmost comes last.
mounts_of() {
	local file=$1

	shift
	for target in "$@"; do
		target=$(printf '%s' "$target" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e 's/\t/\\011/g')
		wanted=$target awk '$5 == ENVIRON["wanted"] { print $5, $3, $4, $6 }' "$file" | tail -n 1
	done
}

# ---- a directory, a host full of traps

host_shape shared
add_host_mounts
host_tmpfs "/mnt/it's \$(touch $T/owned) \`x\` \"quoted\"" odd
host_tmpfs /mnt/escape$'\e'bell$'\a' odd
make_root "$root"
mkdir "$root/canary" "$T/canary"
# An absolute link in the root means a place in the root; followed as the host would, it leads to the host's own directory.
mkdir -p "$root$T"
ln -s ../canary "$root/trap"
ln -s "$T/canary" "$root/deep"
write_conf <<-END
	[root]
	source = $root
	[bind]
	extra = /mnt/strict:/host strict/below:ro
	extra = /etc/hosts:/from/host
	extra = /mnt/c:/trap/inner
	extra = /mnt/c:/deep/one/two
	[boot]
	run = touch /ran; echo "it's run"
	run = false
	run = sleep 20
	require = test -e /ran
	daemon = sleep 300; echo never
	timeout = 1s
END
make_script "a directory"
ok "the script is valid sh" sh -n "$script"
unlike "$out" $'[\001-\010\013-\037]' "no control character is in it"
mkdir "$T/canary.before" && cp -a "$T/canary/." "$T/canary.before"
host_table "$T/table.before"
run sh "$script" cat /proc/self/mountinfo
is "$status" 0 "it boots, and runs a command in the root"
cp "$T/.out" "$T/inside"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "the host's own table stays as it was"
mounts_of "$T/table.before" "${host_dirs[@]}" "${host_files[@]}" >"$T/wanted"
mounts_of "$T/inside" "${host_dirs[@]}" "${host_files[@]}" >"$T/got"
same "$T/wanted" "$T/got" "each host mount is inside, with its device, root and flags"
is "$(wc -l <"$T/wanted")" $((${#host_dirs[@]} + ${#host_files[@]})) "and none of them was overlooked"
ok "a relative link in the root is followed" grep -q ' /canary/inner ' "$T/inside"
ok "an absolute link is followed inside the root" grep -q " $T/canary/one/two " "$T/inside"
ok "and not on the host" diff -r "$T/canary.before" "$T/canary"
ok "no name is taken for a command" test ! -e "$T/owned"
like "$(grep ' /host\\040strict/below ' "$T/inside")" 'below ro,nosuid,nodev,noexec' "a read-only extra is read-only, and keeps its other flags"
ok "a file is bound on a file, which was made" grep -q ' /from/host ' "$T/inside"
ok "the boot commands ran in the root" test -e "$root/ran"
like "$(head -n 1 "$T/.out")" "it's run" "with their output shown"
like "$err" 'failed with status 1: false' "a failed one is told"
like "$err" 'failed with status 124: sleep 20' "and one that took too long"

run sh "$script" sh -c "$(printf 'cat "%s/marker"; ' /mnt/c /mnt/users /mnt/日本 '/mnt/with  two spaces')cat /mnt/file; cat '/mnt/read only file'"
is "$out" "it's run"$'\n/mnt/c\n/mnt/users\n/mnt/日本\n/mnt/with  two spaces\n/mnt/file\n/mnt/read only file' "their content is the host's"
run sh "$script" sh -c 'exit 37'
is "$status" 37 "the exit status is the command's"

run sh "$script"
is "$status" 0 "without a command"
like "$out" 'To enter: nsenter --mount --target [0-9]+ chroot' "it says how to enter"
read -r -a how < <(sed -n 's/^To enter: //p' <<<"$out")
run "${how[@]}" sh -c 'cat /mnt/c/marker'
is "$out" /mnt/c "and that is right"
kill -- "-${how[3]}"

run bash -c "sh <'$script'"
is "$status" 1 "from a pipe it cannot start itself again"
like "$err" 'save this script in a file' "and says what to do"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "the host's table still is as it was"

# ---- what fails

write_conf <<-END
	[root]
	source = $root
	[boot]
	require = false
	run = touch /after
END
make_script "a failing command"
run sh "$script" true
is "$status" 1 "a required command that fails stops it"
like "$err" 'failed with status 1: false' "by name"
ok "and nothing comes after it" test ! -e "$root/after"

write_conf <<-END
	[root]
	source = $root
	[bind]
	create = no
	extra = /etc/hosts:/not/there
	[boot]
	run = true
END
make_script "no mount points made"
run sh "$script" sh -c 'cat /proc/self/mountinfo'
is "$status" 0 "a missing mount point is no failure"
like "$err" 'left out: cannot bind /etc/hosts on /not/there' "but is told"
rmdir "$root/sys"
run sh "$script" true
is "$status" 1 "a missing /sys is"
like "$err" 'cannot bind /sys on /sys in the root' "by name"
mkdir "$root/sys"

write_conf <<-END
	[root]
	source = LABEL=no such label $$
	path = $T/mnt
	wait = 1s
	[boot]
	run = true
END
make_script "a label that is not there"
run sh "$script" true
is "$status" 1 "is refused"
like "$err" "no filesystem with LABEL=\"no such label $$\" \(waited 1 s\)" "after the wait"

# ---- devices and images

make_image "$T/fs.img" "it's $$"
attach "$T/fs.img"
write_conf <<-END
	[root]
	source = LABEL=it's $$
	path = $T/mnt
	fsck = yes
	[boot]
	run = true
END
make_script "a label"
run sh "$script" sed -n "s/^[^ ]* [^ ]* \([^ ]*\) [^ ]* \/ .*/\1/p" /proc/self/mountinfo
is "$status" 0 "a filesystem is found by its label, checked and mounted"
is "${out##*$'\n'}" "$(lsblk -dno MAJ:MIN "$loop" | tr -d ' ')" "and is the root"
cp "$T/fs.img" "$T/twin.img"
first=$loop
attach "$T/twin.img"
run sh "$script" true
is "$status" 1 "two of one label are refused"
like "$err" "$first" "with the first"
like "$err" "$loop" "and the second"
detach "$loop"

mkdir "$T/elsewhere"
mount "$first" "$T/elsewhere"
run sh "$script" true
is "$status" 1 "one that is mounted elsewhere is refused"
like "$err" "$first is already mounted" "by name"
umount "$T/elsewhere"
detach "$first"

truncate -s 40M "$T/disk.img"
printf 'label: gpt\nstart=1MiB, size=2MiB\nstart=4MiB, size=16MiB\n' | sfdisk -q "$T/disk.img"
dd if="$T/fs.img" of="$T/disk.img" bs=1M seek=4 conv=notrunc status=none
write_conf <<-END
	[root]
	source = $T/disk.img
	partition = 2
	path = $T/mnt
	fsck = yes
	[boot]
	run = true
END
make_script "a partition of an image"
run sh "$script" cat /etc/os-release
is "$status" 0 "is found, checked and mounted"
like "$out" 'GCD OS' "and is the root"
is "$(losetup --noheadings --output NAME --associated "$T/disk.img")" "" "its loop device is gone with it"
write_conf <<-END
	[root]
	source = $T/fs.img
	path = $T/mnt
	[boot]
	run = true
END
make_script "an image without partitions"
run sh "$script" cat /etc/os-release
like "$out" 'GCD OS' "is the root"

# ---- in the host's own namespace

write_conf <<-END
	[root]
	source = $T/fs.img
	path = $T/mnt
	[namespace]
	mount = host
	[boot]
	run = true
END
make_script "on the host"
host_table "$T/table.before"
run sh "$script"
is "$status" 0 "it mounts in the host's namespace"
is "$out" "To enter: chroot $T/mnt" "and says how to enter"
is "$(chroot "$T/mnt" cat /mnt/c/marker)" /mnt/c "which is right"
ok "nothing is mounted twice" test "$(wc -l </proc/self/mountinfo)" -lt $((2 * $(wc -l <"$T/table.before") + 1))
umount -R "$T/mnt"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "and umount -R leaves the host's own mounts alone"

done_testing
