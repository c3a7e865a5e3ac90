#!/bin/bash
# vps_directory: a VPS that lends no disk. The OS lies in /usr/local/gcd, with the sample for such hosts as its configuration, and conf/rc.local starts it.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/vps.bash
. "$lib_dir/vps.bash"

# ---- the owner sets it up, and tries it by hand

vm_new vps
vm_disk "$os_tar" tar
vps_power_on || vm_give_up
vps_places "$T/places"
vps_groups=$(vm_ssh 3843 id -Gn)
ok "gcdboot is installed" vps_install || vm_give_up
ok "the OS is unpacked" vps_directory || vm_give_up
ok "with the sample as its configuration" vm_ssh 3843 'cp /usr/local/share/doc/gcdboot/openvz.conf /etc/gcdboot/default.conf'
run vm_ssh 3843 gcdboot check
is "$status" 0 "check finds nothing that would stop it"
vps_mounts "$T/before"
run vm_ssh 3843 gcdboot
is "$status" 0 "gcdboot boots it"
ok "the OS's sshd answers" vps_os_up || vm_give_up
vps_mounts "$T/up"
same "$T/before" "$T/up" "the host's mount table is the same while it is up"
run vm_ssh 3843 gcdboot stop
is "$status" 0 "gcdboot stop"
vps_mounts "$T/stopped"
same "$T/before" "$T/stopped" "and when it is stopped"
like "$(vm_ssh 3843 cat /usr/local/gcd/var/log/witness)" 'TERM' "its services were told to end"

# ---- from power-on, by rc.local

vm_ssh 3843 'install -m 755 /usr/local/share/doc/gcdboot/rc.local /etc/rc.local && rm /usr/local/gcd/var/log/witness'
ok "the machine is turned off, and on" vps_power_cycle || vm_give_up
ok "after power-on the OS answers on port 22" vps_os_up || vm_give_up
like "$(vps_release 22)" 'GCD OS' "that is the OS: its os-release"
like "$(vps_release 3843)" 'Debian GNU/Linux 12' "port 3843 is the host still"
vps_places "$T/places.up"
same "$T/places" "$T/places.up" "the host's mounts are those of a start without gcdboot"
vps_escape_session

# ---- stop, start again, and power-off

vps_mounts "$T/up"
run vm_ssh 3843 gcdboot stop
is "$status" 0 "gcdboot stop"
like "$(vm_ssh 3843 cat /usr/local/gcd/var/log/witness)" '^started [0-9:]+'$'\n''TERM' "the services got TERM"
ok "port 3843 answers" vm_ssh 3843 true
vps_mounts "$T/stopped"
same "$T/up" "$T/stopped" "the host's mount table has not changed"
run vm_ssh 3843 /etc/rc.local
is "$status" 0 "rc.local starts it again"
ok "the OS is up again" vps_os_up || vm_give_up

vm_ssh 3843 rm /usr/local/gcd/var/log/witness
ok "a power-off of the host with the OS up, and on again" vps_power_cycle || vm_give_up
like "$(vm_ssh 3843 cat /usr/local/gcd/var/log/witness)" '^TERM' "the services got TERM at power-off"
unlike "$(cat "$T/vps/console")" 'recovering journal' "the host's filesystem was clean"
run vm_ssh 3843 'gcdboot status; tail -n 1 /var/log/gcdboot-rc.log'
like "$out" 'not running' "the machine went down soon after the start: rc.local leaves the OS out once"
like "$out" 'not started: the machine went down within 600 seconds' "and says so in its log"
run vm_ssh 3843 /etc/rc.local
ok "the start after that brings it" vps_os_up
done_testing
