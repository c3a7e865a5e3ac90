#!/bin/bash
# hanging: mounts of the host whose server does not answer, or not to root, do not keep a boot waiting longer than [bind] timeout.
# Functions are called through `ok`.
# shellcheck disable=SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

root=$T/root
make_root "$root"
mount -t tmpfs -o mode=755 mnt /mnt
mkdir /mnt/{1,2,3,4,5,6,plain,closed,auto,auto2}
: >/mnt/file
mount -t tmpfs plain /mnt/plain
echo plain >/mnt/plain/marker

silent=$helpers/silent_mounts

# silent KIND ARG...: starts it, and returns when its mounts are there.
start_silent() {
	: >"$T/silent.$1.out"
	"$silent" "$@" >>"$T/silent.$1.out" 2>&1 &
	wait_for 10 grep -q mounted "$T/silent.$1.out" || { cat "$T/silent.$1.out" && return 1; }
}

# ---- FUSE: as a mount of the host, where the bind itself asks nothing; and as a source inside of it, where the look-up hangs

if [ ! -c /dev/fuse ] || ! start_silent fuse rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other /mnt/1 /mnt/2 /mnt/3 /mnt/4 /mnt/5 /mnt/6; then
	skip_all "no FUSE in this kernel"
fi
start_silent fuse rootmode=100644,user_id=0,group_id=0 /mnt/file
start_silent fuse rootmode=40700,user_id=1000,group_id=1000 /mnt/closed
run timeout 0.3 stat /mnt/1/x
is "$status" 124 "stat hangs there"

write_conf <<-END
	[root]
	source = $root
	[boot]
	daemon = sleep 1000
END
boot
is "$status" 0 "a host with mounts that do not answer: boots"
enter cat /proc/self/mountinfo
for target in 1 2 3 4 5 6 file closed; do
	like "$out
$err$(cat /run/gcdboot/default/boot.log)" " /mnt/$target .* - fuse silent|not bound: /mnt/$target: " "/mnt/$target is bound, or skipped with the reason"
done
enter cat /mnt/plain/marker
is "$out" plain "a mount between them is bound"
stop
is "$status" 0 "stops"

write_conf <<-END
	[root]
	source = $root
	[bind]
	extra = /mnt/1/x:/opt/1
	extra = /mnt/2/x:/opt/2
	extra = /mnt/3/x:/opt/3
	extra = /mnt/4/x:/opt/4
	extra = /mnt/5/x:/opt/5
	extra = /mnt/6/x:/opt/6
	extra = /mnt/plain:/opt/6/below
	extra = /mnt/plain:/opt/7
	timeout = 1s
	[boot]
	daemon = sleep 1000
END
# Each of the six alone would take the whole time; so one run of five times that fails where they wait one after the other.
RUN_TIMEOUT=5 boot
is "$status" 0 "six sources that hang: boots"
for i in 1 2 3 4 5 6; do
	like "$err" "warning: not bound: /opt/$i: it does not answer \(waited 1 s\)" "/opt/$i is skipped, with the time that all of them had"
done
like "$err" "warning: not bound: /opt/6/below: it lies below something that does not answer" "what lies below one is skipped"
enter cat /opt/7/marker
is "$out" plain "what does not hang is bound"
run os status --json
is "$(grep -c 'does not answer' <<<"$out")" 7 "status names them"
stop
is "$status" 0 "stops"
ok "no process is left in the kernel" bash -c '! pgrep -x gcdboot'

write_conf <<-END
	[root]
	source = $root
	[bind]
	extra = /mnt/1/sys:/sys
	timeout = 1s
END
run os boot -d
is "$status" 1 "where /sys does not answer: refused"
like "$err" "cannot bind /mnt/1/sys into the root: it does not answer" "by name"
ok "nothing is left" test ! -e /run/gcdboot/default/lock

# ---- autofs

if start_silent autofs "$T/trace" /mnt/auto /mnt/auto2; then
	write_conf <<-END
		[root]
		source = $root
		[boot]
		daemon = sleep 1000
	END
	RUN_TIMEOUT=20 boot
	is "$status" 0 "a host with automounts: boots"
	enter cat /proc/self/mountinfo
	like "$out" " /mnt/auto .* - autofs silent" "the automount is bound"
	like "$out" " /mnt/auto2 .* - autofs silent" "and the other one"
	ok "without being triggered" test ! -e "$T/trace"
	run timeout 1 ls /mnt/auto/
	ok "which a look into it does" wait_for 10 test -s "$T/trace"
	RUN_TIMEOUT=20 stop
	is "$status" 0 "stops"
	is "$(wc -l <"$T/trace")" 1 "again without triggering it"
else
	skip 7 "no autofs in this kernel"
fi

done_testing
