# shellcheck shell=bash
# wsl.bash: machines of WSL2's shape, for the tests whose name begins with wsl_. Sourced after lib.sh.
#
# The machine is booted from power-on: tests/bed/wsl_init.c makes the distribution's root as WSL does, tests/bed/wsl/distro its mounts, sockets and the
# binfmt_misc entry. There is neither systemd nor udev. How it differs from WSL2:
#   - Windows is tests/bed/windows.c (see there), which asks this shell for the disk; QEMU plugs it into a virtio SCSI controller.
#   - The drive C: is a real 9p mount with aname=drvfs, but by virtio (WSL: trans=fd to a Hyper-V socket), and its server is QEMU's.
#   - The kernel is Debian's: its name has no "microsoft" in it, and gcdboot goes by /run/WSL, the entry in binfmt_misc and the drive.
#   - Sessions are made by tests/bed/wsl_session.c. The distribution does not end when the last of them does, and what sets the machine up and looks at it (a
#     shell on the serial line, an sshd on port 3843) is no session.

# shellcheck disable=SC2034
{
	system32=Windows/System32
	bed=/usr/local/lib/bed
	rundir=/run/gcdboot/default
	drive_1='\\.\PHYSICALDRIVE1'
	windows_dir=/run/windows
}

# wsl_machine [DRIVE]: a machine whose drive C: is mounted on DRIVE (/mnt/c), with the programs of Windows on it, gcdboot and chroot_escape in bin/, and a disk
# that Windows can hand over: $T/disk.img, the OS's. Started, with gcdboot installed.
wsl_machine() {
	drive=${1:-/mnt/c}
	disk=$T/disk.img
	cp --sparse=always "$os_image" "$disk"
	vm_new wsl
	wsl_drive "$T/wsl/c"
	mkdir "$T/wsl/drivers"
	echo inf >"$T/wsl/drivers/nv_dispi.inf"
	mkfifo "$T/wsl/plug.in" "$T/wsl/plug.out"
	vm_initrd "$BUILD/vm/wsl.cpio"
	vm_cmdline "rdinit=/wsl_init console=ttyS0 net.ifnames=0 panic=30 mitigations=off wsl.drive=$drive"
	# One device for each mount, as a device has one user.
	vm_args -fsdev "local,id=c,path=$T/wsl/c,security_model=none" \
		-device 'virtio-9p-pci,fsdev=c,mount_tag=C:\' -device 'virtio-9p-pci,fsdev=c,mount_tag=C:\' \
		-fsdev "local,id=drivers,path=$T/wsl/drivers,security_model=none,readonly=on" -device virtio-9p-pci,fsdev=drivers,mount_tag=drivers \
		-device virtio-serial-pci -chardev "pipe,id=plug,path=$T/wsl/plug" -device virtserialport,chardev=plug,name=plug
	vm_start && wait_for 180 vm_serial true || vm_give_up "the machine starts"
	wsl_plugger >/dev/null 2>&1 </dev/null &
	mkdir "$T/plugger"
	echo $! >"$T/plugger/pid"
	disown
	run vm_serial "cp $drive/bin/gcdboot $drive/bin/chroot_escape /usr/local/sbin/ && mkdir -p /etc/gcdboot && ls /dev/vport*"
	port=$out
}

# wsl_drive DIRECTORY: what is on C:. Owners and modes mean nothing there: every file is the user's.
wsl_drive() {
	local exe

	mkdir -p "$1/$system32/WindowsPowerShell/v1.0" "$1/Users/me" "$1/bin"
	for exe in wsl.exe whoami.exe cmd.exe WindowsPowerShell/v1.0/powershell.exe; do
		printf 'MZ\220\0' >"$1/$system32/$exe"
	done
	cp "$BUILD/gcdboot" "$BUILD/chroot_escape" "$1/bin/"
	chmod -R 777 "$1"
	chown -R 1000:1000 "$1"
}

# wsl_plugger: who has the disk: does what the stand-in for Windows asks for.
wsl_plugger() {
	local verb number later

	exec 3<>"$T/wsl/plug.out" 4<>"$T/wsl/plug.in"
	while read -r verb number later <&3; do
		if [ "$verb" = attach ]; then
			{
				sleep "$(printf '%d.%03d' $((later / 1000)) $((later % 1000)))"
				vm_plug "$disk"
			} &
		else
			vm_pull
		fi
		echo ok >&4
	done
}

# wsl_windows LINE...: what Windows is like from now on (see windows.c): on the first disk it runs, the second one is the OS's.
wsl_windows() {
	vm_serial "$(printf 'cat >%s/conf <<\\END\n' "$windows_dir"
		printf '%s\n' "plug $port" 'disk 0 bsC S0-SYSTEM Samsung SSD 980' 'disk 1 - __WD-1234__ WDC WD80EFZX' "$@" END
		echo "rm -f $windows_dir/log $windows_dir/count.*")"
}

# wsl_conf FILE LINE...: a configuration; the lines go below [wsl].
wsl_conf() {
	vm_serial "cat >$1 <<\\END
[root]
source = LABEL=/
path = /usr/local/GCD
wait = ${wait:-1m}
[env]
pass = WSL* TERM LANG
[wsl]
$(printf '%s\n' "${@:2}")
END"
}

# wsl_begin NAME COMMAND: a session of that name, elevated, in which a shell runs COMMAND, as a task of Windows starts it. It goes on when this returns.
wsl_begin() {
	vm_serial "cd / && $bed/wsl_session ${3:-elevated} $1 sh -c '$2'"
}

# wsl_file NAME FILE: what is in a file of the session: out, err, pid, and, when it has ended, status.
wsl_file() {
	vm_serial "cat $windows_dir/session/$1/$2"
}

# wsl_end NAME [SECONDS]: waits for the end of COMMAND; its exit status in $status, its output in $out and $err.
wsl_end() {
	wait_for "${2:-120}" vm_serial "test -e $windows_dir/session/$1/status" || { status=none && return 1; }
	status=$(wsl_file "$1" status)
	out=$(wsl_file "$1" out)
	err=$(wsl_file "$1" err)
}

# elevated COMMAND, ordinary COMMAND: like `run`, in a session of its own, elevated or not: each kind has its own mount namespace.
elevated() {
	wsl_begin $((++sessions)) "$1" elevated
	wsl_end "$sessions"
}

ordinary() {
	wsl_begin $((++sessions)) "$1" ordinary
	wsl_end "$sessions"
}
sessions=0

# wsl_up [SECONDS]: until the OS is up; fails at once where the session NAME has ended.
wsl_up() {
	wait_for "${2:-180}" vm_serial "gcdboot status | grep -q ': up since' || test -e $windows_dir/session/$1/status" &&
		vm_serial "! test -e $windows_dir/session/$1/status"
}

# wsl_log: each program of Windows that was run, as wsl_windows has begun anew.
wsl_log() {
	vm_serial "cat $windows_dir/log 2>/dev/null"
}

# wsl_root: the root's filesystem on the disk, for the programs of e2fsprogs, while nobody has it mounted.
wsl_root() {
	echo "$disk?offset=$((512 * $(sfdisk -d "$disk" | sed -n 's/.*start= *\([0-9]*\),.*name="root".*/\1/p')))"
}

# wsl_disk_is_clean: it was unmounted in order, and is whole.
wsl_disk_is_clean() {
	dumpe2fs -h "$(wsl_root)" 2>/dev/null | grep -E '^Filesystem state: +clean$' && e2fsck -fn "$(wsl_root)"
}

# wsl_no_disk: the disk is with Windows, however it came here.
wsl_no_disk() {
	vm_pull 2>/dev/null
	vm_serial ": >$windows_dir/attached"
}
