#!/bin/bash
# binds: every mount of the host, seen from inside the OS: device, flags, a marker file in each; what is left out; what cannot be bound. On an ext4
# filesystem on a loop device, with a shared and with a private host.
# Functions are called through `ok`.
# shellcheck disable=SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

mangle() {
	printf '%s' "$1" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e 's/\t/\\011/g' -e ':a;N;$!ba;s/\n/\\012/g'
}

# mounts_of FILE TARGET...: device, what of it, flags, type and source of the mount on each target, the topmost where several are.
mounts_of() {
	local file=$1 target

	shift
	for target in "$@"; do
		wanted=$(mangle "$target") awk '$5 == ENVIRON["wanted"] {
			line = $5 " " $3 " " $4 " " $6
			for (i = 7; $i != "-"; i++) ;
			for (i++; i <= NF; i++) line = line " " $i
		} END { print line }' "$file"
	done
}

# markers_inside: what each marker file says, in the OS.
markers_inside() {
	local target marked=()

	for target in "${host_dirs[@]}"; do
		[[ " ${host_bare[*]} " == *" $target "* ]] || marked+=("$target/marker")
	done
	os enter -- cat "${marked[@]}" "${host_files[@]}"
}

# reachable: the mount points of the host at which a look-up finds a mount, the topmost, as the table writes them.
reachable() {
	local id rest target fd

	while read -r id _ _ _ target rest; do
		[[ $target != *//deleted ]] || continue
		{ exec {fd}<"$(printf '%b' "$target")"; } 2>/dev/null || continue
		[ "$(sed -n 's/^mnt_id:[[:space:]]*//p' "/proc/self/fdinfo/$fd")" != "$id" ] || printf '%s\n' "$target"
		exec {fd}<&-
	done </proc/self/mountinfo
}

markers_wanted() {
	local target

	for target in "${host_dirs[@]}" "${host_files[@]}"; do
		[[ " ${host_bare[*]} " == *" $target "* ]] || printf '%s\n' "$target"
	done
}

host_shape private
add_host_mounts
host_tmpfs $'/mnt/new\nline' newline
host_tmpfs '/mnt/"quotes" $(id) `id`' quotes
host_tmpfs $'/mnt/\xff\xfe' not-utf8
host_tmpfs $'/mnt/\e[31m\r' control
host_tmpfs '/mnt/-rf' dashes
host_tmpfs '/mnt/*' '*'
host_tmpfs "/mnt/$(printf 'n%.0s' {1..255})" long
host_tmpfs '/mnt/empty source' ''
host_tmpfs '/srv/own/top level' none
mkdir -p /mnt/stack
host_tmpfs /mnt/stack lower
unset 'host_dirs[-1]'
host_tmpfs /mnt/stack upper nodev
# A fifo is mounted as a file is. reachable() must not wait for a writer: one holds it open.
mkfifo "$T/pipe"
: >/mnt/pipe
mount --bind "$T/pipe" /mnt/pipe
exec 9<>"$T/pipe"
# Covered: below a later mount.
host_tmpfs /mnt/covered lower
unset 'host_dirs[-1]'
host_tmpfs /mnt/covered/below below
unset 'host_dirs[-1]'
host_tmpfs /mnt/covered cover
# Unlinked: a mount point that another mount namespace has taken away.
mkdir "$T/gone"
mount -t tmpfs gone "$T/gone"
unshare -m --propagation private bash -c 'umount "$1" && rmdir "$1"' - "$T/gone"
# Unlinked is the file that is mounted, not its place.
: >"$T/unlinked" && : >/mnt/of_unlinked
mount --bind "$T/unlinked" /mnt/of_unlinked
rm "$T/unlinked"

host_table "$T/table.base"
is "$(grep -c 'gone.*deleted' "$T/table.base")" "$(grep -c ' gone ' "$T/table.base")" "the unlinked mount point is in the table, or not at all"

make_image "$T/disk.img" gcdbinds 24
attach "$T/disk.img"
write_conf <<-END
	[root]
	source = LABEL=gcdbinds
	path = $T/os
	[bind]
	exclude = /mnt/hash*
	[boot]
	daemon = sleep 1000
END

for shape in private shared; do
	host_shape "$shape"
	host_table "$T/table.before"
	boot
	is "$status" 0 "$shape host: boots"
	host_table "$T/table.during"
	same "$T/table.before" "$T/table.during" "$shape host: its own table does not change"
	ok "$shape host: nothing of the OS is seen at the mount point" test -z "$(ls -A "$T/os")"
	os enter cat /proc/self/mountinfo >"$T/inside"
	kept=()
	for target in "${host_dirs[@]}"; do
		[ "$target" = '/mnt/hash#' ] || kept+=("$target")
	done
	host_dirs=("${kept[@]}")
	mounts_of "$T/table.before" "${host_dirs[@]}" "${host_files[@]}" >"$T/wanted"
	mounts_of "$T/inside" "${host_dirs[@]}" "${host_files[@]}" >"$T/got"
	is "$(grep -c . "$T/wanted")" $((${#host_dirs[@]} + ${#host_files[@]})) "$shape host: the table has them all"
	same "$T/wanted" "$T/got" "$shape host: each is inside, with its device, flags, type and source"
	markers_wanted >"$T/wanted"
	markers_inside >"$T/got" 2>&1
	same "$T/wanted" "$T/got" "$shape host: each shows its marker file"
	# Each device number as stat(2) has it, on both sides.
	printf '%s\0' "${host_dirs[@]}" >"$T/dirs.0"
	xargs -0 stat -c '%d %i %n' -- <"$T/dirs.0" >"$T/wanted"
	os enter xargs -0 stat -c '%d %i %n' -- <"$T/dirs.0" >"$T/got"
	same "$T/wanted" "$T/got" "$shape host: stat(2) sees the same directory at each"
	# All the host's other mounts too, whatever they are.
	reachable | grep -avxF -e / -e /mnt/of_unlinked -e '/mnt/hash#' -e '/mnt/hash\043' | sort -u >"$T/wanted"
	cut -d' ' -f5 "$T/inside" | grep -avxF -e / -e /mnt/of_unlinked | sort >"$T/got"
	same "$T/wanted" "$T/got" "$shape host: no mount is missing, and none is there that the host does not have"
	is "$(cut -d' ' -f5 "$T/inside" | grep -cxF /mnt/stack)" 1 "$shape host: of two on one place the upper one"
	enter test -p /mnt/pipe
	is "$status" 0 "$shape host: a fifo is a fifo"
	enter test -e /mnt/of_unlinked
	like "$status:$(cat /run/gcdboot/default/boot.log)" "^0:|not bound: /mnt/of_unlinked: .*(deleted|unlinked)" "$shape host: an unlinked file is bound, or skipped with the reason"
	enter sh -c 'touch /mnt/ro_mount/x || touch /mnt/ro_filesystem/x || echo x >"/mnt/read only file"'
	unlike "$status" '^0$' "$shape host: what is read-only cannot be written"
	enter touch /mnt/c/from_inside
	ok "$shape host: what is written inside is the host's" test -e /mnt/c/from_inside
	rm /mnt/c/from_inside
	ok "$shape host: what exclude names is not there" bash -c '! grep -qa "mnt/hash" "$0"' "$T/inside"
	# What the host mounts later arrives inside where it comes as a shared one; what the OS mounts never arrives on the host.
	enter mount -t tmpfs inner /mnt/c/Users
	is "$status" 0 "$shape host: the OS can mount"
	host_table "$T/table.during"
	same "$T/table.before" "$T/table.during" "$shape host: and the host does not see it"
	enter umount /mnt/c/Users
	enter umount -a
	host_table "$T/table.during"
	same "$T/table.before" "$T/table.during" "$shape host: nor does umount -a inside touch the host"
	stop
	is "$status" 0 "$shape host: stops"
	host_table "$T/table.after"
	same "$T/table.before" "$T/table.after" "$shape host: its table is the same as before"
	is "$(lsblk -no MOUNTPOINT "$loop")" "" "$shape host: the device is free"
done
ok "three starts, the same count each time" bash -c '
	for i in 1 2 3; do
		"$0" -q -c "$1" boot -d && "$0" -c "$1" status --json | grep \"bound\" && "$0" -q -c "$1" stop || exit 1
	done | sort -u | wc -l | grep -qx 1' "$gcdboot" "$conf"

# ---- the plan says what is left out

run os plan
like "$out" "/mnt/covered/below +covered by a later mount|/mnt/covered/below: covered" "plan: what a later mount covers is left out"
like "$out" "excluded by /mnt/hash" "plan: what exclude names"

# ---- the root itself and what is below it

cp -a "$T/.tree" "$T/dir"
mkdir -p "$T/dir/inner"
mount -t tmpfs below "$T/dir/inner"
: >"$T/dir/inner/here"
write_conf <<-END
	[root]
	source = $T/dir
	[boot]
	daemon = sleep 1000
END
boot
enter cat /proc/self/mountinfo
is "$(grep -c " $T/dir" <<<"$out")" 0 "the root and what is below it are not bound into it again"
enter test -e /inner/here
is "$status" 0 "they are there as its own"
stop
umount "$T/dir/inner"

# ---- unbindable, and a read-only root

mount --make-unbindable /mnt/strict
mount --make-unbindable /mnt/deep/one/two
write_conf <<-END
	[root]
	source = LABEL=gcdbinds
	path = $T/os
	[boot]
	daemon = sleep 1000
END
boot
is "$status" 0 "an unbindable mount: boots"
# A kernel may forget that it is unbindable when it becomes a slave.
run bash -c '"$0" -c "$1" enter cat /mnt/strict/marker || cat /run/gcdboot/default/boot.log' "$gcdboot" "$conf"
like "$out" "^/mnt/strict$|not bound: /mnt/strict: .*unbindable" "it is bound, or skipped with the reason"
stop
sed -i '/^\[boot\]/i [namespace]\nmount = host' "$conf"
boot
is "$status" 0 "an unbindable mount, in the host's namespace: boots"
like "$err" "warning: not bound: /mnt/strict: .*unbindable" "it is skipped with the reason"
enter cat /mnt/c/marker
is "$out" /mnt/c "the others are there"
run os status --json
like "$out" '"/mnt/strict: ' "status names it"
stop
is "$status" 0 "and stops"
sed -i '/^\[namespace\]/,+1d' "$conf"
mount --make-private /mnt/strict
mount --make-private /mnt/deep/one/two

# A fresh one: the boots above have made the mount points.
detach "$loop"
rm "$T/disk.img"
make_image "$T/disk.img" gcdbinds
attach "$T/disk.img"
sed -i 's/^path/options = ro\npath/' "$conf"
boot
is "$status" 0 "a read-only root: boots"
like "$err" "warning: not bound: /srv/own/top level: .*Read-only file system" "a mount point that cannot be made: skipped with the reason"
enter cat /mnt/marker
is "$out" /mnt "what has its mount point is bound"
enter test -e /proc/self -a -e /sys/kernel -a -e /dev/null
is "$status" 0 "/proc, /sys and /dev are there"
stop

# ---- what must be there

debugfs -w -R 'rmdir proc' "$loop" 2>/dev/null
run os boot -d
is "$status" 1 "a read-only root without /proc: refused"
like "$err" "cannot bind /proc into the root: " "by name"
sed -i 's/^options = ro$//' "$conf"
boot
is "$status" 0 "where it can be made, it is"
stop
is "$status" 0 "and stops"
detach "$loop"
umount_sys() {
	unshare -m --propagation private bash -c 'umount -R "$1" 2>/dev/null || mount -t tmpfs none "$1"; shift; exec "$@"' - "$@"
}
sed -i "s|^source.*|source = $T/dir|" "$conf"
rm -f /run/gcdboot/default/boot.log
run umount_sys /sys "$gcdboot" -c "$conf" boot -d
is "$status" 1 "a host without /sys: refused"
like "$err" "no mount on /sys" "by name"
like "$err" "extra = /sys" "with what to do"
sed -i '/^\[boot\]/i [bind]\nexclude = /sys' "$conf"
run umount_sys /sys "$gcdboot" -c "$conf" boot -d
is "$status" 0 "which works"
run os stop

done_testing
