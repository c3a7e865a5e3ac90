#!/bin/bash
# old_kernel: the helper that takes later system calls away, and what gcdboot does without them. Where the whole suite runs under it (OLD_KERNEL=1) this
# test proves that; else it proves that the calls are there outside.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# What a call answers in a table of the old kernel: its options that came later, each in its own way.
old_answer() {
	case $1 in
	PR_CAP_AMBIENT | CAP_AUDIT_READ) echo EINVAL ;;
	O_TMPFILE) echo EISDIR ;;
	*) echo ENOSYS ;;
	esac
}

# kernel_has VERSION: the running one, that is.
kernel_has() {
	printf '%s\n' "$1" "$(uname -r | grep -oE '^[0-9]+\.[0-9]+')" | sort -VC
}

"$helpers/old_kernel" --ask >"$T/outside"
"$helpers/old_kernel" "$helpers/old_kernel" --ask >"$T/inside"
is "$(wc -l <"$T/inside")" "$(wc -l <"$T/outside")" "both were asked the same"
for call in openat2 open_tree move_mount mount_setattr fsopen fsmount statx close_range pidfd_open pidfd_getfd pidfd_send_signal clone3 renameat2 getrandom; do
	ok "$call is among them" grep -q "^$call " "$T/inside"
done
while read -r call since answer; do
	is "$answer" "$(old_answer "$call")" "inside: $call ($since)"
done <"$T/inside"
while read -r call since answer; do
	if [ -n "${OLD_KERNEL:-}" ]; then
		is "$answer" "$(old_answer "$call")" "this very test runs under it: $call"
	elif kernel_has "$since"; then
		unlike "$answer" "^$(old_answer "$call")\$" "outside: $call"
	fi
done <"$T/outside"

# ---- what is older goes on, in all that is started inside
run "$helpers/old_kernel" sh -c 'unshare -m sh -c "mount -t tmpfs t /mnt && mkdir /mnt/d && mount --bind /mnt/d /mnt && umount /mnt && cat /proc/self/mountinfo >/dev/null"; exit $?'
is "$status $err" "0 " "mount namespaces, mounts and binds work inside"
run "$helpers/old_kernel" sh -c "sh -c '$helpers/old_kernel --ask' | grep -vcE ' (ENOSYS|EINVAL|EISDIR)\$'"
is "$out" 0 "a child of a child has no more"
run "$helpers/old_kernel" sh -c 'exit 7'
is "$status" 7 "the exit status is the command's"
run "$helpers/old_kernel" /nowhere/to/be/found
is "$status" 127 "a command that is not there"

# ---- gcdboot says what it does without
make_root "$T/root"
write_conf <<-END
	[root]
	source = $T/root
	[boot]
	run = true
END
run "$helpers/old_kernel" "$gcdboot" -c "$conf" check
is "$status" 0 "check on an old kernel"
like "$out" "no openat2" "tells that targets are walked by hand"

# ---- a capability that came later can be named all the same: nobody has it
sed -i 's/^\[boot\]/[caps]\ndrop = sys_boot audit_read perfmon\n&/' "$conf"
run "$helpers/old_kernel" "$gcdboot" -c "$conf" boot --detach
is "$status" 0 "caps drop with later ones: boots"
unlike "$err" "FAILED|warning" "without a complaint"
run "$helpers/old_kernel" "$gcdboot" -c "$conf" enter -- sed -n 's/^CapBnd:.//p' /proc/self/status
is $((0x$out >> 22 & 1)) 0 "the one that is known is dropped"

# ---- descriptors are closed one by one, where there can be very many
: >"$T/open"
run strace -f -o "$T/trace" -e trace=close_range,close "$helpers/old_kernel" "$gcdboot" -c "$conf" enter -- sh -c 'echo /proc/self/fd/*' 200<"$T/open" 5<"$T/open"
is "$status" 0 "enter, with open descriptors"
unlike "$out" "/fd/(5|200)" "none of them comes along"
closes=$(grep -c 'close(' "$T/trace")
ok "without a call for each that there could be ($closes of $(ulimit -Hn))" test "$closes" -lt 1000
stop
is "$status" 0 "stop"

done_testing
