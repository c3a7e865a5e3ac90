#!/bin/bash
# confirm: an OS that is stopped unless somebody confirms in time that it can be reached: who can confirm it, what undoes it, what a killed supervisor changes,
# and that the answer is true however close it comes.
# Functions are called through `ok`.
# shellcheck disable=SC2016,SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

# gcdboot inside the OS, too, with what it is linked with.
os_tree
for file in "$gcdboot" $(ldd "$gcdboot" | grep -o '/[^ ]*'); do
	target=$T/tree$file
	[ "$file" != "$gcdboot" ] || target=$T/tree/sbin/gcdboot
	install -D -m 755 "$file" "$target"
done
make_image "$T/confirm1.img" confirm1 96 "$T/tree"
attach "$T/confirm1.img"
disk=$loop

conf_with() {
	write_conf <<-END
		[root]
		source = LABEL=confirm1
		path = $rootdir
		wait = 2s
		$(printf '%s\n' "$@")
	END
}

up=('[stop]' 'run = echo stop >/var/log/stop' '[boot]' 'daemon = /etc/init.d/svscanboot' 'run = os_process p_daemon daemon')
# Goes on once /tmp/go is there, in the OS.
waiting='run = echo waiting; until [ -e /tmp/go ]; do usleep 10000; done; rm /tmp/go'

# json EXPRESSION: of the last run's output, decoded, as $d.
json() {
	perl -MJSON::PP -e 'local $/; my $d = decode_json(<STDIN>); print join " ", eval $ARGV[0]; die $@ if $@' "$1" <"$T/.out"
}

# deadline: when the time to confirm is over, in ms of the clock that counts. past MS: whether that clock is beyond it.
deadline() {
	in_state confirm | cut -d' ' -f2
}

past() {
	[ "$(awk '{ printf "%d", $1 * 1000 }' /proc/uptime)" -gt "$1" ]
}

# kill_supervisor: as a lack of memory does.
kill_supervisor() {
	old=$(supervisor)
	kill -KILL "$old"
	wait_gone 5 "$old"
}

# undone WHAT: nobody has confirmed it: the OS was stopped, and the host is as before; its boot log tells why.
undone() {
	ok "$1: no process is left" os_none gcdboot p_daemon p_slow svscan supervise multilog readproctitle sleep
	ok "$1: the boot log tells why" grep -qE 'failed: not confirmed within .*; everything is undone' "$boot_log"
	host_same "$1: the host is as before"
	ok "$1: the device is free" device_is_free "$disk"
	ok "$1: the filesystem is clean" filesystem_is_clean "$disk"
	run os status
	is "$status" 3 "$1: status: not running"
	like "$out" "^default: not running"$'\n'"  the last boot was undone: $boot_log tells why$" "$1: status says where the reason stands"
	run os confirm
	is "$status" 3 "$1: to confirm it now is too late: exit 3"
	like "$err" 'not running' "$1: and says why"
	rm -rf /run/gcdboot
}

# stopped_in_order WHAT: also what an orderly stop does.
stopped_in_order() {
	is "$(file_of "$disk" /var/log/stop)" stop "$1: the stop commands were run"
	like "$(file_of "$disk" /var/log/os_process)" 'p_daemon TERM' "$1: the processes got TERM"
	debugfs -w -R 'rm /var/log/stop' "$disk" >"$T/debugfs" 2>&1
	debugfs -w -R 'rm /var/log/os_process' "$disk" >"$T/debugfs" 2>&1
	rm "$T/debugfs"
}

# ---- nothing runs

run "$gcdboot" confirm
is "$status" 3 "confirm where nothing runs: exit 3"
like "$err" '^gcdboot: not running$' "it says so"
ok "nothing is made for it" test ! -e /run/gcdboot
run "$gcdboot" -q confirm
is "$status:$out$err" "3:" "-q confirm"

# ---- confirmed from the host

conf_with "${up[@]}"
host_before
boot --confirm-within=15s
is "$status" 0 "boots"
like "$err" 'gcdboot: up: .*gcdboot: to be confirmed within 1?[0-9] s: gcdboot confirm' "and says how long there is to confirm"
run os status
is "$status" 0 "status: up"
like "$out" '  confirm     to be confirmed within 1?[0-9] s: gcdboot confirm' "status shows the time left"
run os status --json
is "$(json '$d->{confirmed} ? "yes" : "no", $d->{"confirm-left-ms"} > 0 && $d->{"confirm-left-ms"} <= 15000 ? "within" : "out of range"')" "no within" "status --json, too"
run os boot --detach --confirm-within=5m
is "$status" 0 "gcdboot again: exit 0"
like "$err" 'already running since .*to be confirmed within 1?[0-9] s: gcdboot confirm' "it says that the OS is to be confirmed"
like "$err" 'warning: --confirm-within changes nothing for an OS that is there already' "and that the option does not count"
run os confirm
is "$status" 0 "confirm: exit 0"
like "$err" '^gcdboot: confirmed: the OS stays$' "and says so"
end=$(deadline)
run os confirm
is "$status" 0 "confirm again: exit 0"
like "$err" 'confirmed already' "and says that it is confirmed already"
run os status
like "$out" $'\n  confirm     confirmed\n' "status: confirmed"
run os status --json
is "$(json '$d->{confirmed} ? "yes" : "no", exists $d->{"confirm-left-ms"} ? "left" : "none left"')" "yes none left" "status --json: confirmed"
like "$(cat "$boot_log")" ' confirmed' "the boot log has it"
wait_for 30 past $((end + 1000))
run os status
is "$status" 0 "after the time the OS is still up"
run os enter svok /service/clock
is "$status" 0 "and does what an OS does"
stop
is "$status" 0 "it stops"
host_same "the host is as before"

# ---- from inside

conf_with "${up[@]}" 'confirm = 10m'
host_before
boot
like "$err" 'to be confirmed within (10 min|9 min [0-9]+ s): gcdboot confirm' "[boot] confirm: to be confirmed"
enter gcdboot confirm
is "$status" 0 "confirm inside the OS: exit 0"
like "$err" 'confirmed: the OS stays' "and says so"
enter chroot_escape "$gcdboot" confirm
is "$status" 0 "from inside, by way of the host"
like "$err" 'confirmed already' "it is confirmed"
run os status
like "$out" $'\n  confirm     confirmed\n' "on the host it is, too"
stop
conf_with "${up[@]}" 'confirm = 10m' '[caps]' 'drop = sys_admin sys_chroot'
boot
enter gcdboot confirm
is "$status" 0 "confirm inside needs no capability"
run os status
like "$out" $'\n  confirm     confirmed\n' "it is confirmed"
stop
run setpriv --reuid=65534 --regid=65534 --clear-groups "$gcdboot" confirm
is "$status" 1 "but root: another user is refused"
host_same "the host is as before"

# Of another name: what is to be typed has it.
private_etc
cp "$conf" /etc/gcdboot/other.conf
sed -i '/^\[caps/,$d; s/^path.*/&2/; s/^wait.*/&\n[bind]\nexclude = \/etc/' /etc/gcdboot/other.conf
run "$gcdboot" -n other boot --detach
is "$status" 0 "another name: boots"
like "$err" 'to be confirmed within .*: gcdboot -n other confirm' "what is to be typed has the name"
run "$gcdboot" confirm
is "$status" 3 "without the name nothing runs"
like "$err" 'but other is: -n other' "it says which one does"
run "$gcdboot" -n other confirm
is "$status" 0 "confirmed by its name"
run "$gcdboot" -n other stop
umount /etc
rm -rf "$T/.etc"

# ---- the option counts, not the key; 0 is none

conf_with "${up[@]}" 'confirm = 1s'
host_before
boot --confirm-within=0
is "$status" 0 "--confirm-within=0: boots"
unlike "$err" 'to be confirmed' "and wants no confirmation"
run os confirm
is "$status" 0 "confirm: exit 0"
like "$err" 'nothing to confirm: the OS stays' "there is nothing to confirm"
run os status
unlike "$out" '  confirm ' "status: nothing to confirm"
run os status --json
is "$(json '$d->{confirmed} ? "yes" : "no"')" yes "status --json: nothing to confirm"
stop
host_same "the host is as before"

# ---- not confirmed, in the background

conf_with "${up[@]}" 'confirm = 10s'
host_before
boot
is "$status" 0 "boots"
pid=$(supervisor)
ok "not confirmed: the supervisor ends" wait_gone 40 "$pid"
like "$(cat "$boot_log")" 'not confirmed within 10 s: stopping the OS' "the boot log says what comes"
undone "not confirmed"
stopped_in_order "not confirmed"

# ---- in the foreground, under a service manager, while somebody asks all the time

host_before
perl -MSocket -MIO::Socket::UNIX -e '
	my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die $!;
	open my $out, ">>", $ARGV[1]; $out->autoflush;
	my $message;
	print $out "$message;" while defined $socket->recv($message, 4096)' "$T/notify" "$T/notified" &
manager=$!
wait_for 10 test -S "$T/notify"
: >"$T/notified"
NOTIFY_SOCKET=$T/notify setsid "$gcdboot" -c "$conf" boot --foreground >"$T/foreground" 2>&1 </dev/null &
foreground=$!
wait_for 30 grep -q 'to be confirmed' "$T/foreground"
while kill -0 "$foreground"; do os status; done >"$T/asked" 2>&1 &
asker=$!
ok "in the foreground: it ends" wait_gone 60 "$foreground"
wait "$foreground"
is "$?" 5 "in the foreground: exit 5"
wait "$asker"
like "$(cat "$T/foreground")" 'not confirmed within 10 s: stopping the OS.*gcdboot: not confirmed within 10 s; everything is undone$' "in the foreground: it says why"
is "$(cat "$T/notified")" 'READY=1;STOPPING=1;' "the service manager was told of both ends"
rm "$T/foreground" "$T/asked"
kill "$manager"
wait "$manager" 2>/dev/null
undone "in the foreground"
stopped_in_order "in the foreground"
for unit in "$repo"/systemd/*.service; do
	like "$(sed -n 's/^RestartPreventExitStatus=//p' "$unit") " '(^| )5 ' "${unit##*/} does not start it again"
done
rm "$T/notify" "$T/notified"

# ---- a boot that hangs

for namespace in private host; do
	conf_with "${up[@]}" 'run = os_process p_slow ignore' '[namespace]' "mount = $namespace"
	host_before
	run os boot --detach --confirm-within=3s
	is "$status" 5 "a boot command hangs ($namespace): exit 5"
	like "$err" "gcdboot: not confirmed within 3 s, while the boot command 'os_process p_slow ignore' still ran; everything is undone" "and says which"
	undone "a boot command hangs ($namespace)"
	debugfs -w -R 'rm /var/log/os_process' "$disk" >/dev/null 2>&1
done
conf_with "${up[@]}" 'confirm = 2s'
sed -i 's/LABEL=confirm1/LABEL=confirm-none/; s/^wait .*/wait = 60s/' "$conf"
host_before
run os boot --detach
is "$status" 5 "the disk does not come: exit 5"
like "$err" 'gcdboot: not confirmed within 2 s; everything is undone' "and says why"
undone "the disk does not come"

# ---- confirmed while it comes up

conf_with "${up[@]}" "$waiting"
host_before
os boot --detach --confirm-within=15s >"$T/boot.out" 2>&1 &
launcher=$!
ok "a boot goes on" wait_for 30 grep -q '^waiting' "$boot_log"
run os status
like "$out" 'coming up since.*to be confirmed within 1?[0-9] s' "status shows the time left"
enter gcdboot confirm
is "$status" 0 "confirmed meanwhile: exit 0"
wait_for 30 past $(($(deadline) + 1000))
ok "after the time it still goes on" kill -0 "$launcher"
os enter touch /tmp/go
wait "$launcher"
is "$?" 0 "and comes to its end"
unlike "$(cat "$T/boot.out")" 'to be confirmed' "with nothing to confirm any more"
rm "$T/boot.out"
stop
host_same "the host is as before"

# ---- the supervisor is killed

conf_with "${up[@]}"
host_before
boot --confirm-within=10m
line=$(in_state confirm)
kill_supervisor
run os status
is "$status" 4 "the supervisor was killed: status: exit 4"
like "$out" 'to be confirmed within (10|9) min' "the time is known without it"
run os boot --detach --confirm-within=3s
is "$status" 0 "taken over"
like "$err" 'taken over: .*to be confirmed within (10|9) min.*: gcdboot confirm' "the time goes on"
like "$err" 'warning: --confirm-within changes nothing' "the option does not count"
is "$(in_state confirm)" "$line" "it is the first one's time"
run os confirm
is "$status" 0 "confirmed after the take-over"
run os boot --detach
unlike "$err" 'to be confirmed' "there is nothing to confirm any more"
stop
host_same "the host is as before"

for where in host inside; do
	boot --confirm-within=10m
	kill_supervisor
	if [ $where = host ]; then
		run os confirm
	else
		run os enter gcdboot confirm
	fi
	is "$status" 0 "confirmed without a supervisor ($where): exit 0"
	like "$err" "confirmed: the OS stays, but its supervisor \(pid $old\) is gone" "and says what is missing"
	run os confirm
	like "$status:$err" '^0:.*confirmed already' "it is noted down"
	run os boot --detach
	like "$status:$err" '^0:.*taken over' "taken over"
	unlike "$err" 'to be confirmed' "who takes over knows of it"
	run os status
	like "$out" $'\n  confirm     confirmed\n' "status: confirmed"
	stop
	host_same "the host is as before ($where)"
done

boot --confirm-within=6s
kill_supervisor
wait_for 30 past "$(deadline)"
run os status
like "$status:$out" '^4:.*  confirm     not confirmed in time, to be stopped' "the time is over without a supervisor: status says so"
run os confirm
is "$status" 5 "confirm is too late: exit 5"
like "$err" "too late: the supervisor \(pid $old\) is gone, and the next .gcdboot. stops the OS" "and says what comes"
run os enter svok /service/clock
is "$status" 0 "the OS is still up"
run os boot --detach
is "$status" 5 "the next gcdboot stops it: exit 5"
like "$err" 'taken over: .*gcdboot: not confirmed within 6 s; everything is undone' "and says why"
undone "the time was over"
stopped_in_order "the time was over"

# In the middle of its time: the second supervisor counts on.
boot --confirm-within=12s
kill_supervisor
os boot --detach >/dev/null 2>&1
pid=$(supervisor)
ok "taken over, and not confirmed: the supervisor ends" wait_gone 40 "$pid"
undone "taken over, and not confirmed"
stopped_in_order "taken over, and not confirmed"

# ---- something is left: it ends all the same, so that nobody starts it again

conf_with '[boot]' 'run = chroot_escape sleep 100 </etc/hostname >/dev/null 2>&1 &' "run = os_process p_slow" '[stop]' 'timeout = 1s'
run os boot --foreground --confirm-within=3s
is "$status" 5 "the disk is held: exit 5"
like "$err" 'pid [0-9]+ \(sleep\): has open' "the holder is named"
like "$err" 'gcdboot: not confirmed within 3 s.*; something is left, .gcdboot stop. tries again' "it does not say that everything is undone"
run os confirm
is "$status" 3 "there is nothing to confirm any more"
end_holder
stop
is "$status" 0 "with the holder gone a stop clears up"
rm -rf /run/gcdboot
host_same "the host is as before"

# ---- a supervisor that is busy with a stop does not answer; whoever asks is told

conf_with '[boot]' 'run = os_process p_daemon daemon' '[stop]' 'timeout = 20s' 'run = touch /tmp/stopping; sleep 3'
boot --confirm-within=10m
os stop >/dev/null 2>&1 &
stopper=$!
wait_for 20 eval '[ "$(in_state phase)" = stopping ]'
run os confirm
# On a slow machine the stop may have come to its end before the question.
like "$status:$err" '^5:gcdboot: too late: the OS is being stopped|^3:' "confirm while it is stopped"
wait "$stopper"
host_same "the host is as before"

# ---- close to the end: whoever asks, the answers agree with each other and with what becomes of the OS

conf_with '[boot]' 'run = true'
disagreed='' stayed=0
rounds=30
for ((round = 0; round < rounds; round++)); do
	os boot --detach --confirm-within=1s >"$T/race.boot" 2>&1 &
	launcher=$!
	wait_for 20 eval '[ -n "$(deadline)" ]'
	end=$(deadline)
	rm -f "$T"/race.answer.*
	askers=()
	for client in 0 1 2; do
		perl -e '
			my $at = shift; my $file = shift;
			open my $uptime, "<", "/proc/uptime" or die;
			my ($now) = split " ", <$uptime>;
			select undef, undef, undef, $at / 1000 - $now if $at / 1000 > $now;
			system { $ARGV[0] } @ARGV;
			open my $out, ">", $file; print $out $? >> 8' \
			$((end - 150 + round * 10 + client * 2)) "$T/race.answer.$client" "$gcdboot" confirm >/dev/null 2>&1 &
		askers+=($!)
	done
	wait "${askers[@]}"
	wait "$launcher"
	answers=$(cat "$T"/race.answer.*)
	wait_for 30 past $((end + 100))
	case $answers in
	000)
		os status >/dev/null || disagreed+="round $round: confirmed, but status is not up"$'\n'
		stayed=$((stayed + 1))
		os stop >/dev/null 2>&1 || disagreed+="round $round: stop failed"$'\n'
		;;
	[35][35][35])
		wait_for 30 eval 'os status; [ $? = 3 ]' || disagreed+="round $round: too late ($answers), but the OS is up"$'\n'
		;;
	*)
		disagreed+="round $round: the answers are $answers"$'\n'
		os stop >/dev/null 2>&1
		;;
	esac
	rm -rf /run/gcdboot
done
is "$disagreed" "" "$rounds rounds at about the end of the time: answers and outcome agree"
diag "$stayed of $rounds were confirmed in time"
rm -f "$T"/race.*
host_same "the host is as before"
ok "the device is free" device_is_free "$disk"

done_testing
