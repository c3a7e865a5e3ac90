#!/bin/bash
# wsl_refused: on WSL2, with the drive C: on /c: what Windows answers instead of handing over the disk, an interop that is dead, and what `check` says of all
# that. How the machine differs from WSL2: wsl.bash.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/wsl.bash
. "$lib_dir/wsl.bash"

wsl_machine /c

# ---- what check says

printf '[wsl2]\nvmIdleTimeout=60000\n' >"$T/wsl/c/Users/me/.wslconfig"
wsl_windows 'elevated no' 'disk 2 DE WD-5678 WDC WD40'
wsl_conf /etc/gcdboot/default.conf 'attach = \\.\PHYSICALDRIVE2'
elevated 'gcdboot check'
is "$status" 1 "check: this would stop a boot"
like "$out$err" 'Windows programs are run from /c' "it finds the drive by what it is, not by its name"
like "$out$err" 'this session is not elevated: Windows hands over no disk to it' "the session is not elevated"
like "$out$err" 'start gcdboot from a task with the highest privileges' "what to do"
like "$out$err" 'PHYSICALDRIVE2 .*Windows has volumes of it in use: DE' "the drive is in use"
like "$out$err" 'idle for 15 s.*instanceIdleTimeout = -1' "WSL's own idle limit"
like "$out$err" '60 s after the last distribution.*vmIdleTimeout = -1' "and the one that is set"
wsl_windows
wsl_conf /etc/gcdboot/default.conf 'attach = \\.\PHYSICALDRIVE0'
elevated 'gcdboot check'
like "$out$err" 'PHYSICALDRIVE0 .*Windows runs from' "the system's drive is told"

# ---- what Windows answers

wait=0
wsl_conf /etc/gcdboot/default.conf "attach = $drive_1"

# refused CODE REGEX [LANGUAGE]: a boot fails with this sentence.
refused() {
	wsl_windows "answer attach $1" "prose ${3:-en}"
	elevated 'gcdboot'
	like "$status $err" "^1 .*LABEL=/ is not there: Windows does not hand over .*PHYSICALDRIVE1: .*$2" "$1"
}

refused WSL_E_ELEVATION_NEEDED_TO_MOUNT_DISK 'not started as administrator: start it from a task with the highest privileges' ja
refused 0x80040305 'WSL holds as many disks as it can'
refused WSL_E_DISK_MOUNT_DISABLED 'a policy of this Windows forbids it' de
refused WSL_E_LOCAL_SYSTEM_NOT_SUPPORTED 'started as LocalSystem.*let the task run as the user'
refused ERROR_SHARING_VIOLATION 'the disk that Windows runs from'
refused ERROR_DRIVE_LOCKED 'take the disk offline' ja
refused E_UNKNOWN_0x8007abcd 'wsl.exe ended with status 255: .*E_UNKNOWN_0x8007abcd' de
is "$(vm_serial 'ls -A /run/gcdboot/default; ls /usr/local/GCD')" "$(printf 'boot.log\nls: cannot access %s: No such file or directory' "'/usr/local/GCD'")" "nothing but the log is left"

# ---- attached already: success, and it comes

wait=1m
wsl_conf /etc/gcdboot/default.conf "attach = $drive_1" 'detach = yes'
wsl_windows 'answer attach WSL_E_DISK_ALREADY_ATTACHED'
wsl_begin already gcdboot
ok "wsl.exe says that it is attached already" wait_for 60 vm_serial "grep -q 'wsl.exe .* -> 255' $windows_dir/log"
vm_serial "echo 1 >$windows_dir/attached"
vm_plug "$disk"
ok "that is success: when the disk appears, the OS is up" wsl_up already
like "$(wsl_file already err)" 'ok attaching .*it was attached already' "which is told"

# ---- interop is dead

vm_serial "kill \$(cat $windows_dir/interop)"
vm_serial "kill $(wsl_file already pid)"
run vm_serial 'gcdboot status'
like "$out" 'up since' "interop dies while the OS runs, which does not care"
run vm_serial 'gcdboot stop'
is "$status" 0 "a stop ends without it"
like "$out" 'warning: .*type: wsl.exe --unmount .*PHYSICALDRIVE1' "and says what to type on Windows"
# From here on nothing is a session, which would bring a socket along.
run vm_serial 'gcdboot check'
like "$out" 'none of the [0-9]+ interop sockets in /run/WSL answers' "check says that interop is dead"
run vm_serial 'gcdboot boot -d'
is "$status" 0 "the disk is there: it boots all the same"
unlike "$out" 'interop' "without a word about that"
ok "ssh to port 22 is answered" vm_wait_ssh 22
vm_serial 'gcdboot stop' >/dev/null
wsl_no_disk
wait=1s
wsl_conf /etc/gcdboot/default.conf "attach = $drive_1"
run vm_serial 'gcdboot boot -d'
is "$status" 1 "neither interop nor a disk: no boot"
like "$out" 'no filesystem with LABEL=/ \(waited 1 s\).*none of the [0-9]+ interop sockets in /run/WSL answers' "and both is said"
done_testing
