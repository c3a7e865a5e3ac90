# shellcheck shell=bash
# vps.bash: for the tests whose machine is a VPS: gcdboot on its host, from gcdboot.service, and what the host must get back. Sourced after lib.sh.

# vps_install: gcdboot and its unit, and stdin as its configuration. Nothing is started yet.
vps_install() {
	local stage=$T/stage

	install -D -m 755 "$BUILD/gcdboot" "$stage/usr/local/sbin/gcdboot"
	install -D -m 644 "$repo/systemd/gcdboot.service" "$stage/usr/local/lib/systemd/system/gcdboot.service"
	install -D -m 644 /dev/stdin "$stage/etc/gcdboot/default.conf"
	vm_put 3843 / "$stage"/* && vm_ssh 3843 systemctl daemon-reload
}

# vps_host: what of the host an OS may change only for as long as it runs: its mounts, swap and loop devices.
vps_host() {
	vm_ssh 3843 'cat /proc/self/mountinfo; cat /proc/swaps; losetup --noheadings --list --output NAME,BACK-FILE'
}

# vps_host_before: notes it down, when the host's own start has come to its end. vps_host_same DESCRIPTION: it is so again, within a moment: the kernel
# detaches a loop device with its last user, and systemd-udevd is one.
vps_host_before() {
	vm_ssh 3843 systemctl is-system-running --wait >/dev/null
	vps_host >"$T/host.before"
}

vps_host_is_same() {
	vps_host >"$T/host.after"
	cmp -s "$T/host.before" "$T/host.after"
}

vps_host_same() {
	wait_for 20 vps_host_is_same
	same "$T/host.before" "$T/host.after" "$1"
}

# vps_boot [DESCRIPTION]: by the service; ssh to port 22 is then in the OS. vps_stop [DESCRIPTION]: by the service.
vps_boot() {
	RUN_TIMEOUT=180 vps_service start "${1:-the service boots the OS}" || vm_give_up "the OS is up"
	ok "its sshd answers" vm_wait_ssh 22 || vm_give_up
}

vps_stop() {
	RUN_TIMEOUT=120 vps_service stop "${1:-the service stops the OS}"
}

# vps_service VERB DESCRIPTION: the service's log, where that fails.
vps_service() {
	run vm_ssh 3843 systemctl "$1" gcdboot
	is "$status" 0 "$2"
	[ "$status" != 0 ] || return 0
	diag "$(vm_ssh 3843 journalctl -b -u gcdboot --no-pager -o cat)"
	return 1
}
