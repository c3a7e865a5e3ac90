#!/bin/bash
# vps_confirm: a careful person tries a new OS on a machine without a console: unless `gcdboot confirm` is typed in time, the host is as it was. Typed on the
# host, in the OS, not at all, and with a boot script that hangs.
# Functions are called through `ok`.
# shellcheck disable=SC2317
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/vps.bash
. "$lib_dir/vps.bash"

# os_is_gone: nobody answers on the OS's port, and gcdboot knows of no OS.
os_is_gone() {
	vm_ssh 3843 'gcdboot status >/dev/null; [ $? = 3 ]' && ! RUN_TIMEOUT=10 vm_ssh 22 true
}

cp --sparse=always "$os_image" "$T/os.img"
vm_new vps
vm_disk "$T/os.img" os
vm_start
vm_wait_ssh 3843 || vm_give_up
ok "gcdboot is installed" vps_install || vm_give_up
vps_configure <<-'END'
	[root]
	source = LABEL=/
END
vps_before

# ---- nobody can get in: the OS goes by itself
run vm_ssh 3843 gcdboot boot --detach --confirm-within=25s
is "$status" 0 "boots, to be confirmed within 25 s"
like "$err" "to be confirmed within [0-9]+ s: gcdboot confirm" "it says so"
run vm_ssh 3843 gcdboot status
like "$out" "confirm +to be confirmed within [0-9]+ s: gcdboot confirm" "status shows the time left"
ok "unconfirmed, it is stopped" wait_for 120 os_is_gone
run vm_ssh 3843 'gcdboot confirm; echo $?; cat /run/gcdboot/default/boot.log'
like "$out" "^3.*not confirmed within 25 s" "the log tells why"
vps_same "the host is as it was"

# ---- confirmed from the OS itself, which has been reached from outside
run vm_ssh 3843 gcdboot boot --detach --confirm-within=2m
is "$status" 0 "boots again"
ok "the sshd of the OS answers" vm_wait_ssh 22
run vm_ssh 22 chroot_escape gcdboot confirm
is "$status" 0 "confirmed by who has logged in to the OS"
run vm_ssh 3843 'gcdboot status; gcdboot confirm'
like "$out" "confirm +confirmed" "status says so"
like "$err" "confirmed already" "and there is nothing more to confirm"
run vm_ssh 3843 gcdboot stop
is "$status" 0 "it stops"
vps_same "the host is as before"

# ---- at each start of the machine, by the service, with a boot script that hangs
vps_configure <<-'END'
	[root]
	source = LABEL=/
	[boot]
	confirm = 20s
	daemon = /etc/init.d/svscanboot
	run = sleep 100000
END
run vm_ssh 3843 systemctl enable gcdboot
ok "the host is turned off" vm_powerdown
vm_start
ok "and on: its sshd answers while the OS hangs" vm_wait_ssh 3843
unit_failed() {
	vm_ssh 3843 'systemctl is-failed gcdboot'
}
ok "the unit ends, unconfirmed" wait_for 120 unit_failed
run vm_ssh 3843 'systemctl show -P ExecMainStatus -P NRestarts gcdboot; systemctl is-active gcdboot; gcdboot status'
like "$out" $'^0\n5\nfailed' "with its own exit status, and is not started again"
ok "nothing of the OS is left" os_is_gone
vps_before
unlike "$(cat "$T/lent.before")" "GCD|/usr/local/gcd" "the host has no mount of it"
ok "the host is turned off once more" vm_powerdown
run e2fsck -fn "$T/os.img?offset=$((49 << 20))"
is "$status" 0 "the OS's filesystem is whole"
done_testing
