#!/bin/bash
# wsl_pulled: on WSL2, started as conf/windows/gcdboot-task.xml starts it, with conf/wsl2.conf: the disk is pulled out while the OS runs, and Windows ends
# everything at once. How the machine differs from WSL2: wsl.bash.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/wsl.bash
. "$lib_dir/wsl.bash"

command=$(sed -n 's|.*<Arguments>-u root \(.*\)</Arguments>|\1|p' "$repo/conf/windows/gcdboot-task.xml")
like "$command" '^/mnt/c/bin/gcdboot -c /mnt/c/bin/gcd.conf$' "the task's command"
wsl_machine
sed 's/^attach = .*/attach = serial:WD-1234/; s/^detach = .*/detach = yes/' "$repo/conf/wsl2.conf" >"$T/wsl/c/bin/gcd.conf"

# ---- pulled out

wsl_windows
wsl_begin pulled "cd $drive/$system32 && exec $command"
ok "the disk of that serial number is attached, and the OS is up" wsl_up pulled
like "$(wsl_file pulled err)" 'ok attaching serial:WD-1234' "by the sample's configuration"
ok "ssh to port 22 is answered" vm_wait_ssh 22
vm_pull
vm_serial ": >$windows_dir/attached"
ok "the disk is pulled out" wait_for 60 vm_serial '! test -e /dev/sda'
RUN_TIMEOUT=30 run vm_serial 'gcdboot status'
like "$out" '^default: up' "status answers"
like "$out" 'disk +GONE: it was taken away while the OS runs on it' "and says that the disk is gone"
stop_begin=$(date +%s%N)
run vm_serial 'gcdboot stop'
diag "$out"
diag "seconds for the stop: $((($(date +%s%N) - stop_begin) / 1000000000))"
is "$status" 1 "stop ends"
like "$out" 'its disk /dev/sda3 was gone before that: what had not been written to it is lost' "with a report"
wsl_end pulled 60
is "$status" 1 "and so does what was in the foreground"
run vm_serial 'ps -e -o stat=,args= | grep "^D"; grep -c GCD /proc/self/mountinfo; find /run/WSL -type l'
is "$out" 0 "nothing hangs, nothing is left"

# ---- it comes back, and Windows ends everything at once, as it shuts down

wsl_begin again "$command"
ok "it boots again, with the disk as it was left" wsl_up again
ok "ssh to port 22 is answered" vm_wait_ssh 22
run vm_ssh 22 'echo written >/root/kept; sync; svstat /service/witness'
like "$out" 'up' "with its services"
vm_kill
# WSL forgets what was attached: the disk is not there at the next start.
vm_start
ok "the machine starts again" wait_for 180 vm_serial 'test -S /run/WSL/1_interop'
wsl_windows
wsl_begin third "$command"
ok "the OS is up, from a disk that was not unmounted" wsl_up third
ok "ssh to port 22 is answered" vm_wait_ssh 22
run vm_ssh 22 cat /root/kept
is "$out" written "with what was written"
run vm_serial 'gcdboot stop'
is "$status" 0 "stop"
ok "leaves it clean" wsl_disk_is_clean
done_testing
