#!/bin/bash
# stop_orderly: what a process starts in order to end properly, when it was told to, can do its work: its commands get no signal before it has ended.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

os_tree
# A shell's trap with commands that are programs, one of them with a child of its own; and one that leaves a child behind, which is told then.
printf '#!/bin/sh
trap "/bin/sh -c \\"/bin/sleep 0.5; exit 0\\" && echo orderly >>/var/log/orderly; exit" TERM
echo ready >/var/log/ready
while :; do
	sleep 100 &
	wait $!
done
' >"$T/tree/sbin/orderly"
printf '#!/bin/sh
trap "os_process p_left session & sleep 0.5; exit" TERM
echo ready >/var/log/ready2
while :; do
	sleep 100 &
	wait $!
done
' >"$T/tree/sbin/leaves"
chmod 755 "$T/tree/sbin/orderly" "$T/tree/sbin/leaves"
os_disk orderly1
disk=$loop
write_conf <<-END
	[root]
	source = LABEL=orderly1
	path = $rootdir
	[boot]
	run = orderly </dev/null >/dev/null 2>&1 &
	run = leaves </dev/null >/dev/null 2>&1 &
	[stop]
	timeout = 30s
END
host_before
boot
is "$status" 0 "the OS boots"
wait_for 10 os enter sh -c 'test -s /var/log/ready && test -s /var/log/ready2'
stop
is "$status" 0 "stop"
unlike "$err" 'had to be killed' "nothing had to be killed"
is "$(file_of "$disk" /var/log/orderly)" orderly "the commands of a trap came to their end"
like "$(file_of "$disk" /var/log/os_process)" 'p_left TERM' "what was left behind was told to end, too"
ok "nothing is left" os_none orderly leaves p_left
host_same "the host is as before"
ok "the filesystem is clean" filesystem_is_clean "$disk"
done_testing
