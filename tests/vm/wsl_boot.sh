#!/bin/bash
# wsl_boot: on WSL2, from power-on: a task of Windows starts gcdboot, Windows hands over the disk 10 s later, the OS is worked in from outside and from both kinds
# of sessions, its session is closed, and a stop gives all back. How the machine differs from WSL2: wsl.bash.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/wsl.bash
. "$lib_dir/wsl.bash"

wsl_machine
printf '[general]\ninstanceIdleTimeout=-1\n[wsl2]\nvmIdleTimeout=-1\n' >"$T/wsl/c/Users/me/.wslconfig"

# ---- the host

run vm_serial "awk '{ print \$1, \$2, \$3 }' /proc/self/mounts"
is "$out" '/dev/vda / ext4
none /usr/lib/wsl/lib overlay
rootfs /init rootfs
proc /proc proc
sysfs /sys sysfs
none /dev devtmpfs
devpts /dev/pts devpts
none /run tmpfs
none /run/lock tmpfs
none /run/shm tmpfs
none /dev/shm tmpfs
none /run/user tmpfs
binfmt_misc /proc/sys/fs/binfmt_misc binfmt_misc
cgroup2 /sys/fs/cgroup cgroup2
none /mnt/wsl tmpfs
none /mnt/wslg tmpfs
/dev/vda /mnt/wslg/distro ext4
none /mnt/wslg/versions.txt tmpfs
none /tmp/.X11-unix tmpfs
drivers /usr/lib/wsl/drivers 9p
C:\134 /mnt/c 9p' "the mount table has WSL's shape"
run vm_serial "awk '/ shared:/ { print \$5 }' /proc/self/mountinfo | sort | xargs"
is "$out" "/dev /mnt/wsl /mnt/wslg /proc /run /run/lock /run/shm /sys" "what WSL shares is shared, and / is not"
run vm_serial 'cat /proc/1/comm; readlink /proc/1/exe; ls /run/udev /dev/disk'
like "$out" 'wsl_init' "neither systemd nor udev"

wsl_windows 'later 10000'
wsl_conf /etc/gcdboot/default.conf "attach = $drive_1" 'detach = yes'
elevated 'gcdboot check'
is "$status" 0 "check finds nothing that stops a boot"
like "$out$err" 'LABEL=/ is not there yet: Windows is asked at boot for \\\\\.\\PHYSICALDRIVE1' "it tells that the disk will be asked for"
like "$out$err" 'Windows programs are run from /mnt/c' "where Windows is"
like "$out$err" 'interop: /run/WSL/[0-9]+_interop answers' "the interop socket"
like "$out$err" 'this session is elevated' "that it is elevated"
like "$out$err" 'PHYSICALDRIVE1 \(WDC WD80EFZX, serial WD-1234\), which Windows does not use' "the drive"
like "$out$err" 'idle limits of WSL are off' "the idle limits"
like "$out$err" 'one mount namespace so far' "and the mount namespaces"
vm_serial "sh $bed/ordinary"
ok "a session that is not elevated has a mount namespace of its own" wait_for 60 vm_serial "test -s $windows_dir/ordinary"
ordinary 'readlink /proc/self/ns/mnt; cat /proc/self/mountinfo; cat /mnt/c/Users/me/.wslconfig'
unlike "$out" "$(vm_serial readlink /proc/self/ns/mnt)" "which is another one"
like "$out" 'vmIdleTimeout' "with the drive"
ordinary_before=$(grep -v '^mnt:' <<<"$out")
before=$(vm_serial 'cat /proc/self/mountinfo /proc/swaps')

# ---- the boot

vm_serial "setsid $bed/uevents >$windows_dir/uevents 2>&1 &"
wsl_begin task "cd $drive/$system32 && exec gcdboot"
ok "gcdboot, started by a task of Windows without a terminal: up" wsl_up task
task=$(wsl_file task err)
diag "$task"
like "$task" 'ok finding LABEL=/: not there yet' "it looks for the label first"
like "$task" 'ok attaching \\\\\.\\PHYSICALDRIVE1 \(' "has Windows attach the disk, where it is missing"
like "$task" 'ok waiting for LABEL=/: /dev/sda3, ext4 \(1?[0-9]\.' "and waits for it, 10 s"
like "$(wsl_log)" "wsl.exe cwd=/mnt/c socket=/run/WSL/[0-9]+_interop utf8=1 --mount \\\\\\\\.\\\\PHYSICALDRIVE1 --bare -> 0" "wsl.exe ran from its drive, in UTF-8"
# As a measure of the emulated machine: how long it takes to run blkid on the one partition.
diag "$(vm_serial "cat $windows_dir/uevents; awk '\$3 == \"sda3\" { at[\$2] = \$1 }
	END { print \"seconds from the uevent of the partition to its mount, emulated: \" at[\"mounted\"] - at[\"add\"] }' $windows_dir/uevents
	bash -c 'TIMEFORMAT=\"and to run blkid on that partition: %R\"; time blkid -p /dev/sda3 >/dev/null'")"
ok "it stays in the foreground" vm_serial "! test -e $windows_dir/session/task/status"

ok "ssh to port 22 is answered" vm_wait_ssh 22 || vm_give_up
run vm_ssh 22 'cat /etc/os-release; env'
like "$out" 'PRETTY_NAME="GCD OS' "by the OS"
unlike "$out" 'WSL_INTEROP' "whose environment knows nothing of WSL"
run vm_ssh 22 "cd /mnt/c && /mnt/c/$system32/cmd.exe /c ver"
like "$status $out" '^0 .*Microsoft Windows' "all the same, a program of Windows runs there"
run vm_ssh 22 'cat /mnt/c/Users/me/.wslconfig /usr/lib/wsl/drivers/nv_dispi.inf /mnt/wslg/versions.txt /mnt/wsl/resolv.conf; ls /usr/lib/wsl/lib; findmnt -no FSTYPE,OPTIONS /init'
like "$out" 'vmIdleTimeout.*inf.*WSLg.*nameserver.*libcuda.*rootfs +ro' "the drive, the drivers and the mounted files are there"
run vm_ssh 22 'chroot_escape cat /etc/hosts'
like "$out" '127.0.0.1 localhost wsl' "chroot_escape leads to the host"

# ---- the other mount namespace

ordinary 'gcdboot status'
like "$status $out" '^0 default: up since' "status, from a session that is not elevated"
like "$out" 'attached +\\\\\.\\PHYSICALDRIVE1 of Windows' "tells of the drive"
ordinary 'gcdboot enter -- cat /etc/os-release'
like "$status $out" '^0 .*GCD OS' "so does enter lead into the OS"
ordinary 'gcdboot check'
like "$out$err" '2 mount namespaces' "check knows of both"

# ---- the session is closed

relay=$(wsl_file task pid)
vm_serial "kill -TERM $relay"
ok "the session is closed, with HUP and broken pipes" wait_for 60 vm_serial "! kill -0 $relay"
ordinary 'gcdboot status'
like "$out" '^default: up since' "the OS lives on"
run vm_ssh 22 'svstat /service/*'
like "$out" 'sshd: up.*witness: up' "with its services"
ok "and finds another interop socket" wait_for 60 vm_ssh 22 "cd /mnt/c && /mnt/c/$system32/cmd.exe /c ver"

# ---- stop, from there

stop_begin=$(date +%s%N)
ordinary 'gcdboot stop'
diag "$err"
diag "seconds for the stop, its session made and looked at included: $((($(date +%s%N) - stop_begin) / 1000000000))"
is "$status" 0 "stop, from the other mount namespace"
like "$err" 'ok unmounting /usr/local/GCD' "unmounts"
like "$err" 'ok detaching \\\\\.\\PHYSICALDRIVE1' "and detaches"
like "$(wsl_log)" 'wsl.exe .*--unmount \\\\\.\\PHYSICALDRIVE1 -> 0' "by wsl.exe --unmount"
ok "the disk is gone" wait_for 60 vm_serial '! test -e /dev/sda'
ok "its filesystem is clean" wsl_disk_is_clean
like "$(debugfs -R 'cat /var/log/witness' "$(wsl_root)" 2>&1)" 'TERM' "the OS's services had TERM"
is "$(vm_serial 'cat /proc/self/mountinfo /proc/swaps')" "$before" "the host's mounts are as they were"
ordinary 'cat /proc/self/mountinfo; cat /mnt/c/Users/me/.wslconfig'
is "$out" "$ordinary_before" "those of the other namespace, too"
is "$(vm_serial 'ls -d /run/gcdboot/* /usr/local/GCD 2>/dev/null; find /run/WSL -type l')" '' "and nothing else is left"

# ---- the program and its configuration lie on the drive, and the disk is there already

wsl_windows
wsl_conf "$drive/bin/gcd.conf" "attach = $drive_1" 'detach = yes'
vm_serial 'rm /usr/local/sbin/gcdboot /etc/gcdboot/default.conf'
vm_plug "$disk"
vm_serial "echo 1 >$windows_dir/attached"
wsl_begin drive "cd $drive/bin && exec ./gcdboot -c gcd.conf"
ok "from /mnt/c/bin, with its configuration beside it: up" wait_for 180 vm_serial "$drive/bin/gcdboot -c $drive/bin/gcd.conf status | grep -q ': up since'"
is "$(wsl_log)" '' "a disk that is there already: nothing is asked of Windows"
elevated "$drive/bin/gcdboot -c $drive/bin/gcd.conf stop"
is "$status" 0 "stop"
wsl_end drive
is "$status" 0 "and what was in the foreground ends"
ok "the disk goes back all the same, as detach = yes asks for" wait_for 60 vm_serial '! test -e /dev/sda'
done_testing
