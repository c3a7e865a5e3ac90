#!/bin/bash
# wsl: a boot on WSL, whose disk Windows hands over.
# shellcheck disable=SC2119,SC2016
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"
# shellcheck source=tests/system/wsl.bash
. "$lib_dir/wsl.bash"

wsl_tree
make_image "$T/disk.img" wsldisk 16 "$T/tree"
wsl_host
wsl_disk "$T/disk.img"

# conf_wsl LINE...: the configuration; the lines go below [wsl].
conf_wsl() {
	write_conf <<-END
		[root]
		source = LABEL=wsldisk
		path = $rootdir
		wait = ${wait:-2s}
		[env]
		pass = WSL* TERM LANG
		[boot]
		daemon = /etc/init.d/svscanboot
		run = env >/root/env
		run = winver >/root/ver || true
		[wsl]
		$(printf '%s\n' "$@")
	END
}

# ---- the story: the disk is not there, Windows hands it over, later, and gets it back

wsl_conf 'later 1500' 'prose de'
conf_wsl 'attach = \\.\PHYSICALDRIVE1' 'detach = yes'
host_before
boot
is "$status" 0 "the disk that is not there is attached, and boots"
disk=$(cat "$T/plugged")
like "$err" 'ok finding LABEL=wsldisk: not there yet' "it looks for the label first"
like "$err" 'ok attaching \\\\\.\\PHYSICALDRIVE1 \(' "has Windows attach the disk"
like "$err" "ok waiting for LABEL=wsldisk: $disk, ext4 \(1\.[0-9]" "and waits for it to appear"
like "$(head -n 1 /run/windows/log)" "^wsl.exe cwd=/mnt/c socket=/run/WSL/1_interop utf8=1 --mount .*PHYSICALDRIVE1 --bare -> 0$" \
	"wsl.exe is run from its drive, with a socket that answers, and WSL_UTF8"
is "$(wsl_calls wsl.exe)" 1 "once"
run os status
like "$out" 'attached +\\\\\.\\PHYSICALDRIVE1 of Windows, detached at stop' "status tells of the drive"
run os status --json
like "$out" '"attached": "\\\\\\\\\.\\\\PHYSICALDRIVE1"' "as JSON, too"
like "$out" '"device-present": true' "and that the disk is there"
stop
is "$status" 0 "stop"
like "$err" 'ok detaching \\\\\.\\PHYSICALDRIVE1' "gives it back to Windows"
ok "which has it" test ! -e "$T/plugged"
like "$(tail -n 1 /run/windows/log)" 'wsl.exe .* --unmount .*PHYSICALDRIVE1 -> 0' "by wsl.exe --unmount"
host_same "the host is as it was"

# ---- the configuration lies on the drive, where everybody may write, for all that 9p tells

cp "$conf" /mnt/c/bin/gcd.conf
chmod 777 /mnt/c/bin /mnt/c/bin/gcd.conf
run "$gcdboot" -c /mnt/c/bin/gcd.conf plan
is "$status" 0 "a configuration on the drive is taken"
like "$err" 'warning: /mnt/c/bin/gcd.conf: writable by group or other .* taken all the same' "with a warning"
mkdir -m 777 "$T/open"
cp -p /mnt/c/bin/gcd.conf "$T/open"
run "$gcdboot" -c "$T/open/gcd.conf" plan
is "$status" 2 "elsewhere it is not"

# ---- without Windows

wsl_plug
disk=$(cat "$T/plugged")
wsl_conf
conf_wsl 'attach = \\.\PHYSICALDRIVE1'
boot
is "$status" 0 "a disk that is there boots"
is "$(wsl_calls wsl.exe)" 0 "and nothing is asked of Windows"
stop
ok "without detach = yes it stays" test -e "$T/plugged"
unlike "$err" "detach" "and nothing is said of it"
ok "inside, a program of Windows runs without WSL_INTEROP, as after a login by ssh" grep -q 'Microsoft Windows' <(file_of "$disk" /root/ver)
like "$(file_of "$disk" /root/env)" 'WSL_INTEROP=/run/WSL/[0-9]+_interop' "and a boot command has one that lives"
wsl_unserve "$served"
boot
is "$status" 0 "interop is dead, the disk is there: boots"
unlike "$err" "interop|socket|Windows" "without a word about it"
stop
is "$status" 0 "and stops"
conf_wsl 'attach = \\.\PHYSICALDRIVE1' 'detach = yes'
boot
stop
is "$status" 0 "a disk that cannot be given back is no failure"
like "$err" 'FAILED detaching .*PHYSICALDRIVE1' "but is told"
like "$err" 'warning: .*none of the 2 interop sockets .* answers.* type: wsl.exe --unmount .*PHYSICALDRIVE1' "with what to type"
wsl_no_disk
run os boot -d
is "$status" 1 "neither interop nor a disk"
like "$err" 'no filesystem with LABEL=wsldisk \(waited 2 s\).*none of the 2 interop sockets in /run/WSL answers' "is one message, which says both"
is "$(grep -c 'interop' <<<"$err")" 1 "once"
rm /run/WSL/*
run os boot -d
like "$err" 'no interop socket in /run/WSL' "nobody has logged on to Windows"

# ---- interop comes while the disk is waited for

rm -f "$boot_log"
wait=30s conf_wsl 'attach = \\.\PHYSICALDRIVE1' 'detach = yes'
os boot -d >"$T/boot.out" 2>&1 &
boot_pid=$!
ok "a boot waits for interop" wait_for 20 grep -q 'no interop socket in /run/WSL' "$boot_log"
wsl_serve 1_interop
wait "$boot_pid"
is "$?" 0 "and boots when somebody logs on"
stop

# ---- what Windows answers

wait=0
# refused CODE REGEX: the boot ends with this sentence.
refused() {
	wsl_conf "answer attach $1" "prose ${3:-ja}"
	conf_wsl 'attach = \\.\PHYSICALDRIVE1'
	run os boot -d
	is "$status" 1 "$1: no boot"
	like "$err" "$2" "$1: its own sentence"
	is "$(grep -c PHYSICALDRIVE1: <<<"$err")" 1 "$1: once"
}

refused WSL_E_ELEVATION_NEEDED_TO_MOUNT_DISK 'LABEL=wsldisk is not there: Windows does not hand over \\\\\.\\PHYSICALDRIVE1: gcdboot was not started as administrator'
refused 0x80040305 'as many disks as it can'
refused WSL_E_DISK_MOUNT_DISABLED 'policy' de
refused WSL_E_LOCAL_SYSTEM_NOT_SUPPORTED 'started as LocalSystem'
refused ERROR_SHARING_VIOLATION 'the disk that Windows runs from'
refused ERROR_DRIVE_LOCKED 'take the disk offline there first' de
refused ERROR_FILE_NOT_FOUND 'has no disk of that number'
refused E_SOMETHING_0x8007abcd 'wsl.exe ended with status 255: .*E_SOMETHING_0x8007abcd'
refused 0x8007ABCD 'ended with status 255: .*0x8007ABCD' de
refused nothing 'wsl.exe ended with status 1 without a word'

wsl_conf 'answer attach WSL_E_DISK_ALREADY_ATTACHED'
conf_wsl 'attach = PHYSICALDRIVE1' 'detach = yes'
(sleep 1 && wsl_plug && echo 1 >/run/windows/attached) &
boot
is "$status" 0 "already attached is success, and the disk is waited for"
like "$err" 'it was attached already' "which is told"
stop
like "$err" 'ok detaching' "and it is given back, as configured"
ok "really" test ! -e "$T/plugged"

wsl_conf
conf_wsl 'attach = PHYSICALDRIVE1' 'detach = yes'
sed -i 's/LABEL=wsldisk/LABEL=wslother/' "$conf"
run os boot -d
is "$status" 1 "the label is not on that disk"
like "$err" 'no filesystem with LABEL=wslother .*; Windows has handed over .*PHYSICALDRIVE1, but it did not come with that disk' "is told"
like "$err" 'ok detaching' "and Windows gets it back"
ok "really" test ! -e "$T/plugged"

wait=20s
wsl_conf 'answer attach ERROR_NOT_READY 2'
conf_wsl 'attach = \\.\PHYSICALDRIVE1' 'detach = yes'
boot
is "$status" 0 "what may pass is tried again"
is "$(wsl_calls wsl.exe)" 3 "until it has passed"
stop
wsl_conf 'answer attach nothing 1'
wsl_exe '/mnt/c/Program Files/WSL/wsl.exe'
boot
is "$status" 0 "where wsl.exe fails without a word, the package's own is tried"
rm -r '/mnt/c/Program Files'
stop

# ---- by serial number and by model

wsl_conf 'disk 2 - WD-5678 WDC WD80EFZX' 'disk 3 oDE X.Y toshiba "x" | y'
conf_wsl 'attach = serial:wd-1234' 'detach = yes'
boot
is "$status" 0 "serial: finds the drive, whatever blanks pad it"
like "$(cat /run/windows/log)" 'powershell.exe .*-> 0.*wsl.exe .*--mount .*PHYSICALDRIVE1' "through powershell.exe"
run os status
like "$out" 'attached +\\\\\.\\PHYSICALDRIVE1' "status tells which one it is"
stop
is "$status" 0 "stop"
ok "gives it back" test ! -e "$T/plugged"
wsl_plug && echo 1 >/run/windows/attached
boot
stop
ok "one that was there before goes back as well" test ! -e "$T/plugged"
conf_wsl 'attach = model:WDC WD80EFZX'
run os boot -d
is "$status" 1 "two of that model"
like "$err" 'model:WDC WD80EFZX is not one disk of Windows but 2: PHYSICALDRIVE1 \(WDC WD80EFZX, serial WD-1234\), PHYSICALDRIVE2 \(WDC WD80EFZX, serial WD-5678\)' "are refused by name"
conf_wsl 'attach = serial:S0-SYSTEM'
run os boot -d
like "$err" 'PHYSICALDRIVE0 .*Windows runs from' "the system's disk is refused"
is "$(wsl_calls wsl.exe.*PHYSICALDRIVE0)" 0 "and not touched"
wait=0
conf_wsl 'attach = serial:NOSUCH'
run os boot -d
like "$err" 'Windows has no disk serial:NOSUCH; it has PHYSICALDRIVE0 \(Samsung SSD 980, serial S0-SYSTEM, Windows runs from it\), PHYSICALDRIVE1' "where there is none, it lists what there is"

# ---- no binfmt_misc entry, no drive, no program

printf 'MZ\220\0' >$system32/wsl.exe
conf_wsl 'attach = \\.\PHYSICALDRIVE1'
run os boot -d
is "$status" 1 "without the entry in binfmt_misc"
like "$err" 'the kernel does not run /mnt/c/Windows/System32/wsl.exe: WSL.s entry for it is gone' "that is what is said"
rm $system32/wsl.exe
run os boot -d
like "$err" 'no drive of Windows has Windows/System32/wsl.exe' "no program"
wsl_exe $system32/wsl.exe
umount /mnt/c
wsl_plug
boot --detach
is "$status" 0 "without a drive it is no WSL: the keys of [wsl] are accepted, and not used"
ok "and there is no link" test -z "$(find /run/WSL -type l)"
stop
wsl_no_disk

done_testing
