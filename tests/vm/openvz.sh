#!/bin/bash
# openvz: a node that allows 4,096 mounts in a namespace, as OpenVZ does a container, booted for real. In it the system tests that are about such a
# container: one on that node, which rc.local starts an OS in; the limit itself; the system calls of Linux 3.10. The tests come from this machine by 9p,
# and are the ones of `make check`; that all of them pass without the newer calls is shown there (make check-old-kernel).
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

# in_machine NAME: a system test in the machine; each of its lines becomes one of ours.
in_machine() {
	local line

	RUN_TIMEOUT=900 run vm_ssh 3843 "BUILD=/build bash /repository/tests/system/$1.sh"
	while IFS= read -r line; do
		case $line in
		'ok '*'# SKIP'*) fail "$1: ${line#ok }" ;;
		'ok '*) pass "$1: ${line#ok * - }" ;;
		'not ok '*) fail "$1: ${line#not ok * - }" ;;
		'#'*) echo "$line" ;;
		esac
	done <<<"$out"
	is "$status $err" "0 " "$1 ends well"
}

# share NAME DIRECTORY: of this machine, only to be read, on /NAME of the machine.
share() {
	vm_args -fsdev "local,id=$1,path=$2,security_model=none,readonly=on" -device "virtio-9p-pci,fsdev=$1,mount_tag=$1"
	shares+=" && mkdir /$1 && mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose $1 /$1"
}

shares=''
vm_new node
share repository "$repo"
share build "$BUILD"
vm_start
ok "ssh answers after power-on" vm_wait_ssh 3843 || vm_give_up
run vm_ssh 3843 "sysctl -w fs.mount-max=4096$shares"
is "$status $out" "0 fs.mount-max = 4096" "the node allows 4,096 mounts"

in_machine old_kernel
in_machine mount_limit
in_machine openvz
done_testing
