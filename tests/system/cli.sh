#!/bin/bash
# cli: the command line: options of every command, what each prints, and every exit status but those of `enter`.
# Functions are called through `ok`.
# shellcheck disable=SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

root=$T/root
commands=(boot plan status enter confirm stop check list)

# json EXPRESSION: of the last run's output, decoded, as $d.
json() {
	perl -MJSON::PP -e 'local $/; binmode STDOUT, ":utf8"; my $d = decode_json(<STDIN>); print join "\n", eval $ARGV[0]; die $@ if $@' "$1" <"$T/.out"
}

# refused DESCRIPTION REGEX ARG...: the command line is wrong: exit status 2, said on stderr, with the way to the help.
refused() {
	local description=$1 regex=$2

	shift 2
	run "$gcdboot" "$@"
	is "$status:$out" "2:" "$description: refused"
	like "$err" "$regex" "$description: says why"
}

# nothing_was_made: no lock, no directory, no mount.
nothing_was_made() {
	[ ! -e /run/gcdboot ] && diff "$T/table" - <"/proc/self/mountinfo"
}

private_etc
host_table "$T/table"

# ---- help, version, mistakes

for args in --help -h; do
	run "$gcdboot" $args
	is "$status:$err" "0:" "gcdboot $args"
	for word in "${commands[@]}" -c -n -q -v; do
		like "$out" "(^|[[:space:]])${word}[ ,]" "gcdboot $args names $word"
	done
done
run "$gcdboot" --version
like "$status:$out" '^0:gcdboot [0-9]+\.[0-9]+\.[0-9]+$' "gcdboot --version"
version=$out
for command in "${commands[@]}"; do
	run "$gcdboot" "$command" --help
	is "$status:$err" "0:" "$command --help"
	like "$out" "^Usage: gcdboot $command" "$command --help shows its usage"
	run "$gcdboot" "$command" --version
	is "$status:$out" "0:$version" "$command --version"
	refused "$command --nonsense" "nonsense" "$command" --nonsense
done
for pair in "boot --foreground" "boot --detach" "boot --confirm-within" "plan --format" "plan --host-table" "plan --root" "status --json" "stop --timeout" "list --json"; do
	run "$gcdboot" "${pair% *}" --help
	like "$out" "${pair#* }" "${pair% *} --help names ${pair#* }"
done
run "$escape" --help
is "$status:$err" "0:" "chroot_escape --help"
run "$escape" --version
like "$status:$out" '^0:chroot_escape [0-9]+\.' "chroot_escape --version"
run setpriv --reuid=65534 --regid=65534 --clear-groups "$gcdboot" --help
is "$status" 0 "help needs no root"
run bash -c '"$0" --help >/dev/full' "$gcdboot"
is "$status" 1 "help into a full disk"

refused "an unknown command" "unknown command: bot" bot
refused "an unknown option" "bogus" --bogus
refused "an unknown short option" "'x'" -x
refused "an option without its value" "requires an argument" -c
refused "-c with -n" "exclude each other" -c /x -n y
refused "-q with -v" "exclude each other" -q -v
refused "-f with -d" "exclude each other" boot -f -d
refused "an argument too many" "unexpected argument: x" status x
refused "a format that is none" "expected text, sh or json, not yaml" plan --format=yaml
refused "a time that is none" "--timeout: expected .* not 'soon'" stop --timeout=soon
refused "a time to confirm that is none" "--confirm-within: expected 1-86400 seconds, or 0 for none, not 'soon'" boot --confirm-within=soon
refused "a time to confirm that is too short" "--confirm-within: expected 1-86400 seconds, or 0 for none, not '999ms'" boot --confirm-within=999ms
refused "a time to confirm that is too long" "--confirm-within: expected 1-86400 seconds, or 0 for none, not '1441m'" boot --confirm-within=1441m
refused "an argument for confirm" "unexpected argument: x" confirm x
refused "a name with a slash" "no name of a configuration" -n ../x status
for command in boot plan check; do
	refused "$command without a configuration" "^gcdboot: /etc/gcdboot/default.conf: .*No such file" "$command"
	refused "$command -n, without it" "^gcdboot: /etc/gcdboot/other.conf: .*No such file" -n other "$command"
	refused "$command -c, without it" "^gcdboot: $T/no.conf: .*No such file" -c "$T/no.conf" "$command"
done
make_root "$root"
write_conf <<-END
	[root]
	source = $root
	[bind]
	exclude = /etc
	[boot]
	run = echo one
	daemon = sleep 1000
END
for command in boot status enter confirm stop; do
	run setpriv --reuid=65534 --regid=65534 --clear-groups "$gcdboot" -c "$conf" "$command"
	like "$status:$err" "^1:gcdboot: needs root: run it .*with sudo" "$command as another user says what to type"
done
ok "up to here nothing was made" nothing_was_made

# ---- nothing runs yet

run os status
is "$status:$out" "3:default: not running" "status: not running"
run os status --json
is "$status:$(json '$d->{name}, $d->{running} ? "running" : "not"')" $'3:default\nnot' "status --json: not running"
run os -q status
is "$status:$out$err" "3:" "-q status"
run os stop
is "$status:$out" "0:" "stop of nothing is no failure"
like "$err" "not running" "and says so"
run os -q stop
is "$status:$out$err" "0:" "-q stop of nothing"
run os enter true
is "$status" 1 "enter, where nothing runs"
like "$err" "not running: .gcdboot. starts it" "and says what to do"
ok "nothing was made" nothing_was_made

# ---- plan, check, list touch nothing

find "$root" | sort >"$T/tree"
run os plan
is "$status:$err" "0:" "plan"
like "$out" "$root" "plan names the root"
like "$out" "sleep 1000" "plan names the boot commands"
like "${out//$'\n'/ }" "/proc .*echo one.*sleep 1000" "plan shows the steps in order"
cp "$T/.out" "$T/plan.text"
run os plan --format=text
same "$T/.out" "$T/plan.text" "--format=text is the default"
run os plan --format=sh
is "$status" 0 "plan --format=sh"
ok "is a script" sh -n "$T/.out"
run os plan --format=json
is "$status" 0 "plan --format=json"
ok "is JSON" json '$d'
run os plan
unlike "$out" "confirm" "plan: nothing to confirm"
sed -i 's/^\[boot\]/&\nconfirm = 90s/' "$conf"
run os plan
like "$out" $'confirm   wait for `gcdboot confirm`: without it the OS is stopped 1 min 30 s after the beginning\n' "plan: a confirmation is needed"
run os plan --format=sh
like "$out" $'\n# gcdboot would stop the OS 1 min 30 s after the beginning unless it is confirmed' "the script says what it leaves out"
run os plan --format=json
is "$(json 'map { "$_->{step} $_->{q(timeout-ms)}" } $d->{steps}[-1]')" "confirm 90000" "the JSON has it"
run os check
like "$out" "each boot is undone unless .gcdboot confirm. is typed within 1 min 30 s of its beginning" "check says so"
unlike "$out" "all the time that there is to confirm" "the time is enough"
sed -i 's/^confirm = .*/confirm = 30s/' "$conf"
run os check
like "$out" "waiting for the device may take all the time that there is to confirm" "check: the time may not be enough"
sed -i '/^confirm = /d' "$conf"
run os plan --root=/some/where
like "$out" "/some/where" "plan --root"
refused "plan --root=/" "is the running system" -c "$conf" plan --root=/
refused "plan --root, relative" "must be absolute" -c "$conf" plan --root=a/b
printf '%s\n' 'rootfs / lxfs rw 0 0' 'proc /proc proc rw 0 0' 'sysfs /sys sysfs rw 0 0' 'none /dev tmpfs rw 0 0' 'C:\134 /mnt/c 9p rw,dirsync 0 0' >"$T/other.table"
run os plan --host-table="$T/other.table"
is "$status" 0 "plan --host-table"
like "$out" "/mnt/c" "plans the other machine's mounts"
unlike "$out" "$T/t[^a]" "and not this one's"
printf 'rubbish\n' >"$T/bad.table"
run os plan --host-table="$T/bad.table"
is "$status:$out" "2:" "a table that cannot be read"
like "$err" "line 1" "is refused with its line"
run bash -c '"$0" -c "$1" plan >/dev/full' "$gcdboot" "$conf"
is "$status" 1 "a plan that cannot be written is a failure"

run os check
is "$status:$err" "0:" "check of what would boot"
like "$out" "nothing would stop a boot" "says so"
like "$out" "chroot_escape" "check looks for the way back"
chmod -x "$root/etc/rc.d/rc.M"
rm "$root/usr/local/sbin/chroot_escape"
write_conf bad <<-END
	[root]
	source = $root
	[boot]
	run = /etc/rc.d/rc.M
END
run os check
is "$status" 1 "check of what would not boot"
like "$out" "$conf:4: /etc/rc.d/rc.M in the root: is not executable" "names what is wrong, by file and line"
like "$out" "[^a-z]would stop a boot" "and counts it"
like "$out" "copy chroot_escape to usr/local/sbin in the root" "what spoils a boot comes with its mend"
run os -q check
is "$status:$out$err" "1:" "-q check"
chmod +x "$root/etc/rc.d/rc.M"
install "$escape" "$root/usr/local/sbin/chroot_escape"
printf '[root]\nsource = LABEL=gcdcli-none\nwait = 60s\n' >"$T/none.conf"
run timeout 20 "$gcdboot" -c "$T/none.conf" check
is "$status" 1 "check of a label that is not there does not wait for it"
like "$out" "gcdcli-none" "and names it"
like "$out" "gcdboot list" "with its mend"

make_image "$T/disk.img" gcdcli
attach "$T/disk.img"
write_conf disk <<-END
	[root]
	source = LABEL=gcdcli
	path = $T/not/there
	[bind]
	exclude = /etc
END
run os check
is "$status" 0 "check of a disk"
like "$out" "$loop, ext4" "finds it"
run os plan
is "$status" 0 "plan of a disk"
run "$gcdboot" list
like "$status:$out" "^0:.*$loop +gcdcli +[-0-9a-f]+ +ext4 +16M" "list: device, label, UUID, type, size"
mkdir "$T/on"
mount "$loop" "$T/on"
run "$gcdboot" list --json
is "$status" 0 "list --json"
is "$(json "map { join '|', @{\$_}{qw(label type size mounted)} } grep { \$_->{device} eq '$loop' } @{\$d->{filesystems}}")" "gcdcli|ext4|16777216|$T/on" "and where it is mounted"
umount "$T/on"
sha256sum "$loop" >"$T/sum"
write_conf disk2 <<-END
	[root]
	source = $loop
	path = $T/not/there
END
run os check
run os plan
run os list
ok "check, plan and list write nothing to it" sha256sum -c "$T/sum"
detach "$loop"
ok "the mount point was not made" test ! -e "$T/not"
find "$root" | sort >"$T/tree.after"
same "$T/tree" "$T/tree.after" "the root's tree is as it was"
ok "nothing was made on the host" nothing_was_made
# ---- boot: default.conf, -n, -c, -q, -v

write_default() {
	cat >"/etc/gcdboot/$1.conf"
}
write_default default <<-END
	[root]
	source = $root
	[bind]
	exclude = /etc
	[boot]
	run = echo said by a boot command
	daemon = sleep 1000
END
run "$gcdboot"
is "$status:$out" "0:" "gcdboot without arguments boots"
like "$err" "up: $root on $root" "and says what"
like "$err" "ok echo said by a boot command" "with its steps"
ok "from /etc/gcdboot/default.conf" grep -q "said by a boot command" /run/gcdboot/default/boot.log
run "$gcdboot" status
is "$status:$err" "0:" "status: up"
like "$out" "^default: up since 20[0-9-]+ [0-9:]+" "status: since when"
like "$out" "root +$root on $root" "status: from which device"
like "$out" "/proc +[^ ]+ +proc" "status: what is mounted"
like "$out" "[0-9]+ sleep" "status: what runs"
like "$out" "run +[0-9]+ [0-9.]+ s +ok +echo said" "status: its boot commands"
run "$gcdboot" status --json
is "$status" 0 "status --json"
is "$(json '$d->{name}, $d->{phase}, $d->{device}, $d->{degraded} ? 1 : 0, $d->{supervisor}{alive} ? 1 : 0')" $'default\nup\n'"$root"$'\n0\n1' "status --json: the same"
is "$(json 'map { "$_->{kind} $_->{state}" } @{$d->{commands}}')" $'run ended\ndaemon running' "status --json: the commands"
is "$(json 'grep { $_ eq "/proc" } map { $_->{target} } @{$d->{mounts}}')" /proc "status --json: the mounts"
is "$(json 'map { $_->{name} } @{$d->{processes}}')" sleep "status --json: the processes"
like "$(json '$d->{since}')" "^$(date +%Y)-[0-9][0-9]-[0-9][0-9]T[0-9:]{8}[-+][0-9]{4}$" "status --json: since when"
run "$gcdboot" -v status
is "$status" 0 "-v status"
run "$gcdboot"
is "$status:$out" "0:" "a second gcdboot is no failure"
like "$err" "already running since 20[0-9-]+ [0-9:]+, pid [0-9]+" "and finds the first"
run "$gcdboot" -q
is "$status:$out$err" "0:" "silently with -q"
run "$gcdboot" check
like "$status:$out" "^0:.*OS is running" "check says that it runs"

# Two names are two systems.
make_root "$T/second"
write_default second <<-END
	[root]
	source = $T/second
	[boot]
	run = false
END
run "$gcdboot" -n second -q
is "$status:$out$err" "0:" "-q: a boot is silent, a failed command included"
run "$gcdboot" -n second status
is "$status" 4 "status: a boot command failed"
like "$out" "^second: up, degraded since" "it says degraded"
like "$out" "exit status 1 +false" "and names the command"
run "$gcdboot" -n second status --json
is "$status:$(json 'grep { $_->{failed} } map { $_ } @{$d->{commands}}' | grep -c .)" "4:1" "status --json: it too"
run "$gcdboot" --name=default status
is "$status" 0 "the other one is not touched by that"
run "$gcdboot" -n third status
is "$status:$out" "3:third: not running" "a third one does not run"
run "$gcdboot" -n second stop
is "$status" 0 "stop of one"
run "$gcdboot" -n second stop
like "$err" "default is: -n default" "stop of one that does not run tells which one does"
run "$gcdboot" status
is "$status" 0 "the other one goes on"
run "$gcdboot" stop --timeout=5s
is "$status:$out" "0:" "stop --timeout"
like "$err" "ok unmounting $root" "shows its steps"
run "$gcdboot" -q
run "$gcdboot" -q stop
is "$status:$out$err" "0:" "-q stop is silent"

run "$gcdboot" -v boot -d
like "$status:$err" "^0:.*binding" "-v"
run "$gcdboot" stop
run "$gcdboot" --config="/etc/gcdboot/second.conf" --quiet boot
is "$status:$out$err" "0:" "the long options"
run "$gcdboot" status --json
is "$(json '$d->{config}')" "/etc/gcdboot/second.conf" "-c names a file anywhere"
run "$gcdboot" -c /etc/gcdboot/second.conf stop
is "$status" 0 "and stops it"

# A daemon that dies.
write_default default <<-END
	[root]
	source = $root
	[bind]
	exclude = /etc
	[boot]
	daemon = read x <$T/fifo; exit 3
	daemon = sleep 1000
END
mkfifo "$T/fifo"
run "$gcdboot"
run "$gcdboot" status
is "$status" 0 "status: both daemons live"
: >"$T/fifo"
degraded() {
	"$gcdboot" status
	[ $? = 4 ]
}
ok "status: 4 when one has died" wait_for 10 degraded
run "$gcdboot" status
like "$out" "daemon +[0-9]+ +exit status 3 +read x" "with how it ended"
ok "and the log knows" grep -q "warning: the daemon 'read x.*ended with exit status 3" /run/gcdboot/default/boot.log
run "$gcdboot" stop
is "$status" 0 "stop"

# ---- foreground

"$gcdboot" boot --foreground 2>"$T/fg.err" &
fg=$!
ok "boot -f boots" wait_for 20 grep -q 'up: ' "$T/fg.err"
run "$gcdboot" status --json
is "$(json '$d->{supervisor}{pid}')" "$fg" "and stays: it is the supervisor"
is "$(ps -o ppid= -p "$fg" | tr -d ' ')" $$ "in its own place"
run "$gcdboot" stop
wait "$fg"
is "$?:$status" "0:0" "it ends with 0 when the OS is stopped"
"$gcdboot" -q boot -f 2>"$T/fg.err" &
fg=$!
is_up() {
	"$gcdboot" status --json | grep -q '"phase": "up"'
}
wait_for 20 is_up
kill -TERM "$fg"
wait "$fg"
is "$?:$(cat "$T/fg.err")" "0:" "-q boot -f is silent to its end, here by SIGTERM"
host_table "$T/table.after"
same "$T/table" "$T/table.after" "the host's mount table is as it was"

done_testing
