# shellcheck shell=bash
# lib.sh: what every machine test begins with. It is a story on a machine of its own, which starts from power-on, in bash and TAP:
#
#	#!/bin/bash
#	. "$(dirname "$0")/lib.sh"
#	vm_new vps
#	vm_start
#	vm_wait_ssh 3843 || vm_give_up
#	run vm_ssh 3843 cat /etc/os-release
#	like "$out" bookworm "the host answers"
#	done_testing
#
# The machine is QEMU's, emulated: it needs no KVM, no mount and no network of this machine. It ends with the test, however that ends. Its disk is a
# layer over the host image that tests/bed/vps.sh made, and goes with $T.

set -uo pipefail

lib_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$lib_dir/../.." && pwd)
BUILD=$(realpath -m "${BUILD:-$repo/build}")

# For the tests: what tests/bed made.
# shellcheck disable=SC2034
{
	vm_images=$repo/build/vm
	host_image=$vm_images/vps.img
	os_tar=$vm_images/os.tar
	os_image=$BUILD/vm/os.img
}

T=$(mktemp -d /var/tmp/gcdboot-vm.XXXXXX) || exit 1
export T LC_ALL=C.UTF-8
unset CDPATH
vm=''

# shellcheck source=tests/bed/tap.sh
. "$repo/tests/bed/tap.sh"

# ---- the end

vm_cleanup() {
	local pid

	trap '' INT TERM HUP
	for pid in "$T"/*/pid; do
		[ ! -e "$pid" ] || kill -KILL "$(cat "$pid")" 2>/dev/null
	done
	wait 2>/dev/null
	rm -rf --one-file-system "$T"
}
trap vm_cleanup EXIT
trap 'trap "" INT TERM HUP; exit 143' INT TERM HUP

# vm_diag: what a failed test shows of the machine: the end of its console, and what QEMU and ssh said.
vm_diag() {
	local file

	for file in console qemu.log ssh.err; do
		[ -s "$T/$vm/$file" ] || continue
		diag "---- $vm: the end of $file"
		diag "$(tail -n "${1:-25}" "$T/$vm/$file" | tr -cd '\11\12\40-\176')"
	done
}

# vm_give_up [WHY]: ends the test as failed: without the machine there is nothing to go on with.
vm_give_up() {
	fail "${1:-the machine answers}"
	vm_diag 60
	done_testing
}

# The first failed line of a test shows the machine, too: later ones mostly follow from it.
on_fail() {
	[ "$failures" != 1 ] || [ -z "$vm" ] || vm_diag
}

# ---- making and starting

# vm_new NAME: a machine that was never started. Everything below is about the last one that was made, or the one that `vm=NAME` chooses.
vm_new() {
	vm=$1
	mkdir "$T/$vm"
	: >"$T/$vm/arguments"
	ln -s "$host_image.initrd" "$T/$vm/initrd"
	qemu-img create -q -f qcow2 -b "$host_image" -F raw "$T/$vm/disk.qcow2"
	vm_cmdline "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=30 mitigations=off"
}

# vm_cmdline TEXT: the kernel's command line. vm_append TEXT: more of it.
vm_cmdline() {
	printf '%s' "$1" >"$T/$vm/cmdline"
}

vm_append() {
	printf ' %s' "$1" >>"$T/$vm/cmdline"
}

# vm_args ARG...: more arguments for QEMU, at the next start.
vm_args() {
	printf '%s\n' "$@" >>"$T/$vm/arguments"
}

# vm_initrd FILE: laid over the initramfs, a cpio archive, which the kernel takes at a multiple of four bytes only.
vm_initrd() {
	rm "$T/$vm/initrd"
	cp "$host_image.initrd" "$T/$vm/initrd"
	truncate -s %4 "$T/$vm/initrd"
	cat "$1" >>"$T/$vm/initrd"
}

# vm_disk IMAGE [NAME [ro]]: a SCSI disk that is there from the start, raw and written to, or read-only; by NAME it can be pulled. Its serial number is
# NAME.
vm_disk() {
	local name=${2:-disk} ro=off

	[ "${3:-}" != ro ] || ro=on
	vm_args -blockdev "driver=raw,read-only=$ro,node-name=$name-image,file.driver=file,file.filename=$1" -device "scsi-hd,bus=scsi.0,drive=$name-image,id=$name,serial=$name"
}

# vm_start [PORT...]: power-on. The guest's PORTs (22 and 3843 by default) are reached through vm_ssh and vm_port. In this shell, not in a subshell:
# the machine dies with its parent.
vm_start() {
	local dir=$T/$vm forward='' port extra

	[ $# -gt 0 ] || set -- 22 3843
	for port in "$@"; do
		forward+=",hostfwd=tcp:127.0.0.1:0-:$port"
	done
	mapfile -t extra <"$dir/arguments"
	rm -f "$dir"/{qmp,shell,ports}
	setpriv --pdeathsig KILL qemu-system-x86_64 \
		-name "$vm" -machine pc -accel tcg,thread=multi -cpu Nehalem -smp "${VM_CPUS:-1}" -m "${VM_MEMORY:-768}" \
		-nodefaults -no-user-config -display none \
		-kernel "$host_image.kernel" -initrd "$dir/initrd" -append "$(cat "$dir/cmdline")" \
		-drive "if=virtio,file=$dir/disk.qcow2,format=qcow2,cache=unsafe" \
		-netdev "user,id=net$forward" -device virtio-net-pci,netdev=net,romfile= \
		-device virtio-scsi-pci,id=scsi -device virtio-rng-pci \
		-chardev "file,id=console,path=$dir/console,append=on" -serial chardev:console \
		-chardev "socket,id=shell,path=$dir/shell,server=on,wait=off" -serial chardev:shell \
		-qmp "unix:$dir/qmp,server=on,wait=off" \
		${extra[@]+"${extra[@]}"} </dev/null >>"$dir/qemu.log" 2>&1 &
	echo $! >"$dir/pid"
	wait_for 60 vm_qmp query-status || { vm_diag && return 1; }
	vm_hmp "info usernet" | awk '/HOST_FORWARD/ { print $6, $4 }' >"$dir/ports"
}

# vm_runs: whether the machine is on.
vm_runs() {
	kill -0 "$(cat "$T/$vm/pid")" 2>/dev/null
}

# vm_wait_off [SECONDS]: until it has turned itself off.
vm_wait_off() {
	wait_gone "${1:-300}" "$(cat "$T/$vm/pid")"
}

# vm_powerdown [SECONDS]: the power button, and wait. vm_reset: the reset button. vm_kill: the plug is pulled.
vm_powerdown() {
	vm_qmp system_powerdown >/dev/null
	vm_wait_off "$@"
}

vm_reset() {
	vm_qmp system_reset >/dev/null
}

vm_kill() {
	kill -KILL "$(cat "$T/$vm/pid")"
	vm_wait_off 10
}

# ---- talking to QEMU

# vm_qmp COMMAND [JSON]
vm_qmp() {
	(cd "$T/$vm" && "$lib_dir/qmp" qmp "$@")
}

# vm_hmp LINE: a command of QEMU's monitor for people.
vm_hmp() {
	vm_qmp human-monitor-command "{\"command-line\": \"$1\"}"
}

# vm_plug IMAGE [NAME]: a SCSI disk, while the machine runs. vm_pull [NAME]: takes it out, whether it is in use or not.
vm_plug() {
	local name=${2:-disk}

	vm_qmp blockdev-add "{\"driver\": \"raw\", \"node-name\": \"$name-image\", \"file\": {\"driver\": \"file\", \"filename\": \"$1\"}}" >/dev/null &&
		vm_qmp device_add "{\"driver\": \"scsi-hd\", \"bus\": \"scsi.0\", \"drive\": \"$name-image\", \"id\": \"$name\", \"serial\": \"$name\"}" >/dev/null
}

vm_pull() {
	local name=${1:-disk}

	vm_qmp device_del "{\"id\": \"$name\"}" >/dev/null &&
		wait_for 30 vm_qmp blockdev-del "{\"node-name\": \"$name-image\"}"
}

# ---- talking to the machine

# vm_port PORT: on which port of 127.0.0.1 the guest's PORT is reached.
vm_port() {
	awk -v port="$1" '$1 == port { print $2 }' "$T/$vm/ports"
}

# vm_ssh_options: one per line; the server's key is not looked at, as each root has its own behind the same address.
vm_ssh_options() {
	printf '%s\n' -F none -i "$vm_images/key" -l root -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
		-o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=6 -o KexAlgorithms=curve25519-sha256 -o GSSAPIAuthentication=no
}

# vm_ssh PORT [COMMAND...]: with stdin, stdout, stderr and exit status of the command; 255 is ssh's own. VM_TTY=1: with a terminal.
vm_ssh() {
	local port=$1 options status

	shift
	mapfile -t options < <(vm_ssh_options)
	timeout --foreground -k 5 "${RUN_TIMEOUT:-60}" \
		ssh "${options[@]}" ${VM_TTY:+-tt} -p "$(vm_port "$port")" 127.0.0.1 "$@" 2> >(tee "$T/$vm/ssh.err" >&2)
	status=$?
	return "$status"
}

# vm_wait_ssh PORT [SECONDS]: until sshd answers there. Fails at once where the machine is off.
vm_wait_ssh() {
	local end=$((SECONDS + ${2:-600}))

	vm_runs || return 1
	until RUN_TIMEOUT=20 vm_ssh "$1" true >/dev/null 2>&1 </dev/null; do
		if ! vm_runs || [ "$SECONDS" -ge "$end" ]; then
			return 1
		fi
		sleep 0.3
	done
}

# vm_put PORT DIRECTORY FILE...: copies files and trees there, modes and all; directories that are there stay as they are.
vm_put() {
	local port=$1 to=$2 file names=()

	shift 2
	for file in "$@"; do
		names+=(-C "$(dirname "$(realpath -s "$file")")" "$(basename "$file")")
	done
	tar --owner=0 --group=0 -cf - "${names[@]}" | vm_ssh "$port" "mkdir -p '$to' && tar -C '$to' --no-overwrite-dir -xf -"
}

# vm_serial COMMAND: by the root shell on the serial line, which needs neither network nor sshd.
vm_serial() {
	(cd "$T/$vm" && "$lib_dir/serial" shell "${RUN_TIMEOUT:-60}" "$*")
}

# vm_console REGEX: whether the console has shown it.
vm_console() {
	grep -qaE -e "$1" "$T/$vm/console"
}

# ---- a person at a terminal

# term_open PORT: logs in by ssh, with a terminal at both ends. What is shown is in $T/$vm/term.
term_open() {
	local options

	mapfile -t options < <(vm_ssh_options)
	rm -f "$T/$vm/keys"
	mkfifo "$T/$vm/keys"
	: >"$T/$vm/term"
	TERM=vt220 script -qefc "stty rows 40 cols 200; exec ssh ${options[*]} -t -p $(vm_port "$1") 127.0.0.1" "$T/$vm/term" <"$T/$vm/keys" >/dev/null 2>&1 &
	term_pid=$!
	exec {term_fd}>"$T/$vm/keys"
	term_seen=0
}

# term_type TEXT: the text and Enter. term_key TEXT: without Enter.
term_type() {
	term_key "$1"$'\r'
}

term_key() {
	term_seen=$(stat -c %s "$T/$vm/term")
	printf '%s' "$1" >&"$term_fd"
}

# term_text: what was shown since the last key, without colours and the like.
term_text() {
	tail -c "+$((term_seen + 1))" "$T/$vm/term" | sed -E 's/\x1b\[[?0-9;]*[a-zA-Z]//g; s/\x1b\][^\a]*\a//g; s/\r//g'
}

term_has() {
	term_text | grep -qE -e "$1"
}

# term_reads REGEX [SECONDS]: until a line that was shown since the last key matches.
term_reads() {
	wait_for "${2:-60}" term_has "$1" || { term_text && return 1; }
}

# term_close [SECONDS]: until the session has ended, by itself; its exit status.
term_close() {
	wait_gone "${1:-60}" "$term_pid" || { term_text && return 1; }
	exec {term_fd}>&-
	wait "$term_pid"
}
