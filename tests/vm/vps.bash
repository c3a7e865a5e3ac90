# shellcheck shell=bash
# vps.bash: for the tests on a VPS: gcdboot on it, the OS's directory, and what the host was like. Sourced after lib.sh.

# vps_install: gcdboot, as `make install` puts it, on the machine.
vps_install() {
	make -s -C "$repo" install BUILD="$BUILD" DESTDIR="$T/install" >"$T/install.log" 2>&1 || { cat "$T/install.log" && return 1; }
	vm_put 3843 / "$T/install/usr" "$T/install/etc"
	# /usr is newer now; systemd would take it for an upgrade of the system at the next start, and spend a minute on it.
	vm_ssh 3843 touch -r /usr /etc/.updated /var/.updated
}

# vps_configure: stdin becomes gcdboot's configuration there.
vps_configure() {
	vm_ssh 3843 'cat >/etc/gcdboot/default.conf'
}

# vps_directory: the OS as the directory /usr/local/gcd, from the disk `tar`, with chroot_escape in it.
vps_directory() {
	vm_ssh 3843 'mkdir -p /usr/local/gcd && tar -C /usr/local/gcd --numeric-owner -xpf /dev/disk/by-id/*tar &&
		cp /usr/local/sbin/chroot_escape /usr/local/gcd/usr/local/sbin/ && sync'
}

# vps_mounts FILE: the mount table of the host's init, byte for byte. vps_places FILE: without what differs from one start of the machine to the next.
vps_mounts() {
	vm_serial cat /proc/1/mountinfo >"$1"
}

vps_places() {
	vps_mounts "$T/.mounts"
	sed -E 's/^[0-9]+ [0-9]+ [0-9]+:[0-9]+ //; s/(shared|master):[0-9]+/\1/; s/(fd|pgrp|pipe_ino)=[0-9]+//g' "$T/.mounts" | LC_ALL=C sort >"$1"
}

# vps_release PORT: the VERSION_CODENAME or the name of the OS that answers there.
vps_release() {
	vm_ssh "$1" sed -n 's/^PRETTY_NAME=//p' /etc/os-release
}

# vps_os_up: until the OS's own sshd answers. vps_power_on: starts the machine, and waits for the host; vps_power_cycle: turns it off first, in order.
vps_os_up() {
	vm_wait_ssh 22
}

vps_power_on() {
	vm_start && vm_wait_ssh 3843
}

vps_power_cycle() {
	vm_powerdown && vps_power_on
}

# vps_reboot: `systemctl reboot` on the host, until the next boot answers.
vps_reboot() {
	local before

	before=$(vm_ssh 3843 cat /proc/sys/kernel/random/boot_id) || return
	vm_ssh 3843 systemctl reboot
	wait_for 600 vps_boot_is_other "$before"
}

vps_boot_is_other() {
	local now

	now=$(RUN_TIMEOUT=20 vm_ssh 3843 cat /proc/sys/kernel/random/boot_id) && [ -n "$now" ] && [ "$now" != "$1" ]
}

# vps_start_os [DESCRIPTION]: by the service; ssh to port 22 is then in the OS. vps_stop_os [DESCRIPTION]: by the service.
vps_start_os() {
	vps_service start "${1:-the service boots the OS}" || vm_give_up "the OS is up"
	ok "its sshd answers" vps_os_up || vm_give_up
}

vps_stop_os() {
	vps_service stop "${1:-the service stops the OS}"
}

# vps_service VERB DESCRIPTION: with its log, where that fails.
vps_service() {
	RUN_TIMEOUT=180 run vm_ssh 3843 systemctl "$1" gcdboot
	is "$status" 0 "$2"
	[ "$status" != 0 ] || return 0
	diag "$(vm_ssh 3843 journalctl -b -u gcdboot --no-pager -o cat)"
	return 1
}

# vps_lends FILE: what of the host an OS may change only for as long as it runs: its mounts, swap and loop devices.
vps_lends() {
	vm_ssh 3843 'cat /proc/1/mountinfo /proc/swaps; losetup --noheadings --list --output NAME,BACK-FILE' >"$1"
}

# vps_before: notes that down, when the host's own start has come to its end. vps_same DESCRIPTION: it is so again, within a moment: the kernel detaches a loop
# device with its last user, and udev is one.
vps_before() {
	vm_ssh 3843 systemctl is-system-running --wait >/dev/null
	vps_lends "$T/lent.before"
}

vps_is_same() {
	vps_lends "$T/lent.after"
	cmp -s "$T/lent.before" "$T/lent.after"
}

vps_same() {
	wait_for 20 vps_is_same
	same "$T/lent.before" "$T/lent.after" "$1"
}

# A session at two in the morning: into the OS by ssh, out to the host by chroot_escape, and back; interactive all the way. `host` is in the prompt of
# the host's shell, `os` in that of the OS's.
vps_escape_session() {
	term_open 22
	ok "a login to port 22 shows the OS's prompt" term_reads 'gcdos:.* # $'
	term_type 'chroot_escape /bin/bash'
	ok "chroot_escape /bin/bash: a prompt of the host's" term_reads '@vps:.*# $'
	term_type 'grep ^ID /etc/os-release; echo "end of" it'
	ok "what is typed there is done" term_reads '^end of it$'
	like "$(term_text)" $'\nID=debian\n' "the os-release is the host's"
	term_type 'cmp /proc/self/mountinfo /proc/1/mountinfo && echo "the same" mounts'
	ok "the mounts are the host's" term_reads '^the same mounts$'
	term_type 'echo "groups:" $(id -Gn)'
	ok "the groups are the host's" term_reads "^groups: $vps_groups\$"
	term_type 'read -p "a line? " line; echo "read: $line"'
	ok "it asks" term_reads '^a line\? '
	term_type 'typed by hand'
	ok "and reads the answer from the terminal" term_reads '^read: typed by hand$'
	# Said by what runs: before that, the shell itself would get the ^C.
	term_type 'sh -c "echo it runs; exec sleep 1000"'
	term_reads '^it runs$'
	term_key $'\x03'
	ok "^C ends what runs, and not the shell" term_reads '@vps:.*# $'
	term_type 'tty; exit'
	ok "exit leads back into the OS" term_reads 'gcdos:.* # $'
	like "$(term_text)" $'\n/dev/pts/' "there was a terminal"
	term_type 'exit'
	ok "and out of it" term_close
	run grep -aEi 'cannot|no such|inappropriate|no job control|not found|denied|warning|failed' "$T/$vm/term"
	is "$out" '' "nothing complained meanwhile"
}
