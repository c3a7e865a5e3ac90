#!/bin/bash
# enter: a command inside the OS: how it is called, what it finds there, and its exit status and signals as the caller sees them.
# Functions are called through `ok`.
# shellcheck disable=SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

root=$T/root
make_root "$root"
printf 'not executable\n' >"$root/root/data"
printf '#!/no/such/interpreter\n' >"$root/root/script"
chmod +x "$root/root/script"
cp /etc/os-release "$T/host-os-release"
write_conf <<-END
	[root]
	source = $root
	[env]
	pass = GCD_* TERM
	[boot]
	daemon = sleep 1000
END
boot
is "$status" 0 "boots"

# ---- how it is called

enter cat /etc/os-release
is "$status" 0 "a command"
like "$out" 'PRETTY_NAME="GCD OS' "runs in the OS"
run os enter cat /etc/hostname
is "$status:$out" "0:$(cat "$root/etc/hostname")" "-- may be left out"
enter printf '<%s>' -v --json '' 'a b' "it's" $'two\nlines' '$HOME' '*'
is "$out" "<-v><--json><><a b><it's><two
lines><\$HOME><*>" "the arguments arrive as they are"
run os enter echo --help
is "$out" "--help" "options behind the command are the command's"
run bash -c 'printf "%s\n" "echo shell \$0" "pwd" "exit 9" | "$0" -c "$1" enter' "$gcdboot" "$conf"
is "$status:$out" $'9:shell -sh\n/root' "without a command: root's login shell, at home"
run bash -c 'echo in | "$0" -c "$1" enter cat; "$0" -c "$1" enter sh -c "echo to stderr >&2" 2>&1 >/dev/null' "$gcdboot" "$conf"
is "$out" $'in\nto stderr' "stdin, stdout and stderr are the caller's"
run script -qefc "'$gcdboot' -c '$conf' enter -- sh -c 'tty -s && : </dev/tty && echo a tty'" /dev/null
is "$status:${out//$'\r'/}" "0:a tty" "so is the terminal, as the controlling one too"

# ---- what it finds

enter readlink /proc/self/ns/mnt
unlike "$out" "^$(readlink /proc/self/ns/mnt)$" "it is in the OS's own mount namespace"
enter pwd
is "$out" /root "its directory is home"
enter id
is "$out" "uid=0(root) gid=0(root) groups=0(root),11(floppy11),14(users14)" "its groups are the OS's"
# shellcheck disable=SC2016
run env -i GCD_ONE=1 TERM=vt100 HOME=/home/me LD_PRELOAD= SECRET=x LANG=de_DE PATH=/nowhere "$gcdboot" -c "$conf" enter env
is "$(sed '/^\(SHLVL\|PWD\|USER\|LOGNAME\|SHELL\)=/d' <<<"$out" | sort)" "GCD_ONE=1
HOME=/root
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
TERM=vt100" "its environment is a login's, and what [env] passes"
exec 5</etc 6<"$T/host-os-release"
run bash -c 'cd /etc && exec "$0" -c "$1" enter -- sh -c "ls /proc/\$\$/fd; true"' "$gcdboot" "$conf"
exec 5<&- 6<&-
is "$(tr '\n' ' ' <<<"$out")" "0 1 2 " "no descriptor of the caller's arrives"
run bash -c 'trap "" HUP INT QUIT PIPE TERM; exec "$0" -c "$1" enter grep -E "^Sig(Blk|Ign)" /proc/self/status' "$gcdboot" "$conf"
is "$out" $'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000' "no signal is blocked or ignored"

# ---- exit status and signals

for code in 0 1 3 42 125 126 127 255; do
	enter sh -c "exit $code"
	is "$status:$out$err" "$code:" "exit status $code is the command's own"
done
for signal in HUP INT KILL TERM USR1; do
	# A shell of its own, not `timeout`: it is what the person's shell would show.
	run bash -c '"$0" -c "$1" enter -- sh -c "kill -$2 \$\$" 2>/dev/null; echo $?' "$gcdboot" "$conf" "$signal"
	is "$out" $((128 + $(kill -l "$signal"))) "SIG$signal is 128+N to the calling shell"
done
"$gcdboot" -c "$conf" enter -- sleep 600 &
pid=$!
entered() {
	[ "$(cat "/proc/$pid/comm")" = sleep ]
}
ok "the command takes gcdboot's place: its pid is the caller's child" wait_for 10 entered
kill -TERM "$pid"
wait "$pid"
is "$?" 143 "so a signal to it reaches the command"
enter nosuch
is "$status:$err" "127:gcdboot: nosuch: No such file or directory" "a command that is not there: 127"
enter /no/such/path
is "$status" 127 "a path that is not there: 127"
enter ''
is "$status" 127 "an empty name: 127"
enter /root/data
is "$status:$err" "126:gcdboot: /root/data: Permission denied" "not executable: 126"
enter /etc
is "$status" 126 "a directory: 126"
enter /root/script
is "$status" 126 "a script without its interpreter: 126"
like "$err" "interpreter" "which is told apart"
run os -q enter nosuch
is "$status" 127 "-q does not change that"

# ---- what enters is stopped with the rest

"$gcdboot" -c "$conf" enter -- sh -c 'cd /data; sleep 600; true' &
pid=$!
ok "something is entered" wait_for 10 pgrep -P "$pid" sleep
stop
is "$status" 0 "stop ends what was entered as well"
wait "$pid"
is "$?" 143 "by TERM"
enter true
is "$status" 1 "after the stop there is nothing to enter"

# Whoever is on the way in when the stop comes is ended too, or does not get in.
stops=0
for _ in {1..10}; do
	os -q boot -d
	os enter sleep 600 2>/dev/null &
	one=$!
	os enter sleep 600 2>/dev/null &
	os -q stop && stops=$((stops + 1))
	wait "$one" "$!"
done
is "$stops" 10 "a stop while others are on their way in"

done_testing
