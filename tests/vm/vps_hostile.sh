#!/bin/bash
# vps_hostile: an OS whose rc.M is broken, hangs, or kills what it can: the host's sshd on port 3843 answers still, its mounts are as they were, and a reboot gives
# the host back.
# Functions are called through `ok` and `wait_for`.
# shellcheck disable=SC2317
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/vps.bash
. "$lib_dir/vps.bash"

# rc_M: stdin becomes the OS's rc.M, which leaves a mark when it has begun. rc_M_has MARK: it has left it. Asked on the serial line, as it is asked often;
# the shell there may have been killed, too.
rc_M() {
	{
		printf '#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n: >/root/began\n'
		cat
	} | vm_ssh 3843 'rm -f /usr/local/gcd/root/*; cat >/usr/local/gcd/etc/rc.d/rc.M; sync'
}

rc_M_has() {
	RUN_TIMEOUT=10 vm_serial test -e "/usr/local/gcd/root/$1"
}

# starts WHAT: the unit, without waiting for it, until rc.M runs. It may be the last thing that this connection sees.
starts() {
	vm_ssh 3843 'systemctl reset-failed gcdboot 2>/dev/null; systemctl start --no-block gcdboot'
	ok "$1: it is started" wait_for 120 rc_M_has began
}

# host_answers WHAT: a new connection to port 3843 is one to the host.
host_answers() {
	ok "$1: port 3843 answers" vm_wait_ssh 3843 120 || vm_give_up
	like "$(vps_release 3843)" 'Debian GNU/Linux 12' "$1: it is the host"
}

# given_back WHAT: stopped by the unit, nothing is left of it.
given_back() {
	RUN_TIMEOUT=120 run vm_ssh 3843 'systemctl stop gcdboot; systemctl show -P ActiveState gcdboot; gcdboot status'
	like "$out" '(inactive|failed).*not running' "$1: systemctl stop gcdboot stops it"
	vps_mounts "$T/after"
	same "$T/before" "$T/after" "$1: the host's mount table has not changed"
}

unit_is() {
	[ "$(RUN_TIMEOUT=10 vm_serial systemctl show -P "$1" gcdboot)" = "$2" ]
}

vm_new vps
vm_disk "$os_tar" tar ro
vps_power_on || vm_give_up
vps_places "$T/places"
ok "gcdboot is installed" vps_install || vm_give_up
ok "the OS is unpacked" vps_directory || vm_give_up
vm_ssh 3843 'cat >/etc/gcdboot/default.conf; mkdir -p /etc/systemd/system/ssh.service.d
	cp /usr/local/share/doc/gcdboot/ssh-always.conf /etc/systemd/system/ssh.service.d/; systemctl daemon-reload' <<-END
	[root]
	source = /usr/local/gcd
	[caps]
	drop = sys_boot net_admin
	[boot]
	daemon = /etc/init.d/svscanboot
	run = /etc/rc.d/rc.M
END
vps_mounts "$T/before"

# ---- broken

rc_M <<<'if then ('
RUN_TIMEOUT=120 run vm_ssh 3843 systemctl start gcdboot
is "$status" 0 "broken: the OS comes up all the same"
host_answers broken
run vm_ssh 3843 gcdboot status
like "$status $out" '^4 .*rc\.M' "status says that rc.M failed"
given_back broken

# ---- hangs, and does not want to end

rc_M <<<'trap "" TERM INT HUP; while :; do sleep 1000; done'
starts hangs
host_answers hangs
vps_mounts "$T/up"
same "$T/before" "$T/up" "hangs: the host's mount table is the same meanwhile"
given_back hangs

# ---- unmounts all that it sees

rc_M <<<'umount -a; for at in /sys /run /dev /proc; do umount -R $at || umount -R -l $at; done; echo done >/root/ended'
starts umount
ok "umount: it has done it" wait_for 120 rc_M_has ended
host_answers umount
vps_mounts "$T/up"
same "$T/before" "$T/up" "umount: the host's mount table is the same meanwhile"
given_back umount

# ---- takes the machine and the network down, as far as `drop` leaves it the power

rc_M <<<'busybox reboot -f; busybox poweroff -f; ip link set eth0 down; ip addr flush dev eth0; echo done >/root/ended'
boot_id=$(vm_ssh 3843 cat /proc/sys/kernel/random/boot_id)
starts reboot
ok "reboot: it has tried" wait_for 120 rc_M_has ended
host_answers reboot
is "$(vm_ssh 3843 cat /proc/sys/kernel/random/boot_id)" "$boot_id" "reboot: the machine has not been started anew"
given_back reboot

# ---- ends the host's sshd, by its pid file and by its name

rc_M <<<'kill $(cat /run/sshd.pid); sleep 1; pkill -x sshd; sleep 2; pkill -9 -x sshd; echo done >/root/ended'
starts sshd
ok "sshd: it has done it" wait_for 120 rc_M_has ended
host_answers sshd
given_back sshd

# ---- kills everything, at each of the three tries that the unit has

rc_M <<<'kill -9 -1; kill -9 -1'
starts kill
ok "kill: the unit gives it up" wait_for 300 unit_is ActiveState failed
host_answers kill
given_back kill

# ---- hangs from power-on, having ended sshd and all else that it could

rc_M <<<'pkill -x sshd; umount -a; trap "" TERM INT HUP; while :; do sleep 1000; done'
run vm_ssh 3843 'systemctl enable gcdboot; sync'
ok "reboot with a hanging OS to come" vps_reboot || vm_give_up
ok "it hangs" wait_for 120 rc_M_has began
host_answers "from power-on"
vm_ssh 3843 "rm /usr/local/gcd/root/began; sync"
vm_reset
ok "a reset gives the host back" vm_wait_ssh 3843 || vm_give_up
ok "it hangs again" wait_for 120 rc_M_has began
host_answers "after a reset"
vm_ssh 3843 'touch /etc/gcdboot/off'
ok "a reboot gives the host back, and with /etc/gcdboot/off for good" vps_reboot || vm_give_up
host_answers "after a reboot"
vps_places "$T/places.off"
same "$T/places" "$T/places.off" "the host is as it was before gcdboot came"
run vm_ssh 3843 'systemctl is-system-running --wait; gcdboot status'
like "$out" 'not running' "and no OS runs"
done_testing
