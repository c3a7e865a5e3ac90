#!/bin/bash
# wsl_check: what `check` and `plan` tell on WSL.
# shellcheck disable=SC2119,SC2016
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"
# shellcheck source=tests/system/wsl.bash
. "$lib_dir/wsl.bash"

wsl_tree
make_image "$T/disk.img" wslcheck 16 "$T/tree"
wsl_host

conf_check() {
	write_conf <<-END
		[root]
		source = LABEL=wslcheck
		path = $rootdir
		[wsl]
		$(printf '%s\n' "$@")
	END
}

# ---- all is well

wsl_conf 'profile C:\Users\me'
printf '[general]\r\ninstanceIdleTimeout=-1\r\n[wsl2]\r\nvmIdleTimeout=-1\r\n' >/mnt/c/Users/me/.wslconfig
conf_check 'attach = serial:WD-1234'
run os check
is "$status" 0 "nothing would stop a boot"
like "$out" 'ok +the host is WSL2' "it is WSL, whatever the kernel calls itself"
like "$out" 'ok +LABEL=wslcheck is not there yet: Windows is asked at boot for serial:WD-1234' "the disk is Windows' business"
like "$out" 'ok +Windows programs are run from /mnt/c' "drive"
like "$out" 'ok +interop: /run/WSL/1_interop answers' "interop"
like "$out" 'ok +this session is elevated' "elevation, in a language of Windows' choice"
like "$out" 'ok +serial:WD-1234 is PHYSICALDRIVE1 \(WDC WD80EFZX, serial WD-1234\), which Windows does not use' "the drive"
like "$out" 'ok +the idle limits of WSL are off \(/mnt/c/Users/me/.wslconfig\)' "idle limits"
like "$out" 'ok +one mount namespace so far' "namespaces"
is "$(grep -c wsl.exe /run/windows/log)" 0 "wsl.exe is not run: nothing is touched"
unshare -m --propagation private sleep 100 &
sleeper=$!
wait_for 10 sh -c '[ "$(readlink /proc/self/ns/mnt)" != "$(readlink /proc/'"$sleeper"'/ns/mnt)" ]'
run os check
like "$out" 'ok +2 mount namespaces: WSL has one for elevated sessions' "the second one"
kill "$sleeper"

# ---- and all is not

wsl_conf 'profile C:\Users\me' 'elevated no' 'disk 2 DE X-1 USB stick'
printf '[wsl2]\nmemory=8GB\nvmIdleTimeout=60000\n' >/mnt/c/Users/me/.wslconfig
conf_check 'attach = \\.\PHYSICALDRIVE2'
run os check
is "$status" 1 "something would stop a boot"
like "$out" 'STOPS +this session is not elevated' "not elevated"
like "$out" 'mend: start gcdboot from a task with the highest privileges' "with its mend"
like "$out" 'STOPS +\\\\.\\PHYSICALDRIVE2 is PHYSICALDRIVE2 \(USB stick, serial X-1\), and Windows has volumes of it in use: DE' "a drive in use"
like "$out" 'spoils +WSL ends a distribution that is idle for 15 s' "the idle limit of the distribution, which is WSL's own"
like "$out" 'spoils +WSL ends its virtual machine 60 s after' "that of the machine, as it is set"
like "$out" 'mend: vmIdleTimeout = -1 below \[wsl2\]' "with their mends"
conf_check 'attach = \\.\PHYSICALDRIVE0'
run os check
like "$out" 'STOPS +PHYSICALDRIVE0 .*Windows runs from' "the system's drive"
conf_check 'attach = model:nothing'
run os check
like "$out" 'STOPS +Windows has no disk model:nothing; it has PHYSICALDRIVE0' "no such disk"
conf_check
run os check
like "$out" 'spoils +this session is not elevated' "without attach it stops nothing"
rm /mnt/c/Users/me/.wslconfig
run os check
like "$out" 'spoils +WSL ends its virtual machine 60 s' "no .wslconfig: WSL's own limits count"
wsl_conf 'profile Z:\Users\me'
run os check
like "$out" 'spoils +the idle limits of WSL are not known' "a profile on a drive that is not mounted"
wsl_conf 'hang whoami.exe'
SECONDS=0
run os check
like "$out" 'spoils +whether this session is elevated is not known: whoami.exe did not end in time' "a program that hangs is not waited for"
ok "for long" test "$SECONDS" -lt 40
wsl_unserve "$served"
conf_check 'attach = serial:WD-1234'
run os check
like "$out" 'STOPS +none of the 2 interop sockets in /run/WSL answers' "interop is dead"
attach "$T/disk.img"
run os check
like "$out" 'spoils +none of the 2 interop sockets' "which stops nothing where the disk is there"
detach "$loop"

# ---- plan

conf_check 'attach = serial:WD-1234'
run os plan
like "$out" '1  attach    serial:WD-1234 from Windows, where LABEL=wslcheck is not there yet' "plan: the step"
like "$out" '2  find      LABEL=wslcheck' "comes before the look that waits"
run os plan --format=json
like "$out" '"step": "attach"' "as JSON"
run os plan --format=sh
like "$out" "attach_disk 'serial:WD-1234' '/mnt/c' 'LABEL=\"wslcheck\"'" "as a script"
printf '%s\n' "$out" >"$T/plan.sh"
wsl_serve 1_interop
wsl_disk "$T/disk.img"
wsl_conf
conf_check 'attach = \\.\PHYSICALDRIVE1'
os plan --format=sh >"$T/plan.sh"
# Its functions, and this one step.
sed '/^attach_disk /q' "$T/plan.sh" | sed 's/^if \[ "\${GCDBOOT_LEFT/if false \&\& [ "${GCDBOOT_LEFT/' >"$T/attach.sh"
run sh "$T/attach.sh"
is "$status" 0 "the script"
ok "attaches the disk" test -e "$T/plugged"
like "$(cat /run/windows/log)" 'wsl.exe cwd=/mnt/c .* utf8=1 --mount .*PHYSICALDRIVE1 --bare -> 0' "as gcdboot does"
run sh "$T/attach.sh"
is "$(wsl_calls wsl.exe)" 1 "where the label is there, it does not"
wsl_no_disk
umount /mnt/c
run os plan
unlike "$out" "attach" "without a drive of Windows there is no such step"

done_testing
