#!/bin/bash
# 00_bed: the machine bed itself: power-on, ssh, the serial line, copying, a disk plugged and pulled, reset, power-off, and that the disk keeps what was written.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

vm_new vps
vm_start
ok "ssh answers after power-on" vm_wait_ssh 3843 || vm_give_up
run vm_ssh 3843 'cat /etc/os-release; exit 7'
is "$status" 7 "the exit status of a command comes back"
like "$out" 'bookworm' "the host is a Debian 12"
run vm_ssh 3843 'findmnt -no PROPAGATION /; systemctl is-system-running --wait'
is "$out" $'shared\nrunning' "its root is shared, and no unit has failed"

run vm_serial 'tty -s || echo no terminal; id -un; echo to stderr >&2; exit 5'
is "$status $out" $'5 no terminal\nroot\nto stderr' "the shell on the serial line runs a command"

mkdir -p "$T/tree/sub"
echo content >"$T/tree/sub/file"
chmod 750 "$T/tree/sub/file"
ok "a tree is copied there" vm_put 3843 /root "$T/tree"
run vm_ssh 3843 'stat -c "%a %U" /root/tree/sub/file; cat /root/tree/sub/file; sync'
is "$out" $'750 root\ncontent' "with its modes"

truncate -s 32M "$T/plug.img"
mke2fs -q -t ext4 -L plugged "$T/plug.img"
ok "a disk is plugged" vm_plug "$T/plug.img" plug
ok "it shows up" wait_for 60 vm_serial 'blkid -p -s LABEL -o value /dev/disk/by-id/*plug | grep plugged'
ok "it is pulled" vm_pull plug
ok "and is gone" wait_for 60 vm_serial '! test -e /dev/sda'

boot_id=$(vm_ssh 3843 cat /proc/sys/kernel/random/boot_id)
vm_reset
ok "ssh answers after a reset" vm_wait_ssh 3843 || vm_give_up
run vm_ssh 3843 cat /proc/sys/kernel/random/boot_id /root/tree/sub/file
unlike "$out" "$boot_id" "it is another boot"
like "$out" content "what was written is there"

ok "the power button turns it off" vm_powerdown
vm_start
ok "and it starts again" vm_wait_ssh 3843 || vm_give_up
run vm_ssh 3843 cat /root/tree/sub/file
is "$out" content "with what was written"
ok "the plug is pulled" vm_kill
ok "it is off" bash -c "! kill -0 $(cat "$T/vps/pid") 2>/dev/null"
done_testing
