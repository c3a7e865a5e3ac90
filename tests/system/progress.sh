#!/bin/bash
# progress: what a boot shows while it happens: on a terminal, elsewhere, with -q and -v, and in the boot log.
# Functions are called through `ok`.
# shellcheck disable=SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

root=$T/root
log=/run/gcdboot/default/boot.log
make_root "$root"
mkfifo "$root/fifo"
write_conf <<-END
	[root]
	source = $root
	[bind]
	extra = /etc/hosts:/plain/file/in
	[boot]
	run = echo first said this
	run = read -r line </fifo; echo got \$line
	run = echo complaint >&2; exit 4
	daemon = echo daemon said this; sleep 1000
END
: >"$root/plain"

# on_terminal ARG...: gcdboot on a terminal of its own, in the background; what it shows goes to $T/typescript as it comes.
on_terminal() {
	: >"$T/typescript"
	script -qefc "'$gcdboot' -c '$conf' $*" "$T/typescript" >/dev/null </dev/null &
	terminal=$!
}

shows() {
	tr '\r' '\n' <"$T/typescript" | grep -qE -- "$1"
}

# ---- on a terminal

on_terminal boot -d
ok "a step that is done is shown at once" wait_for 20 shows '  ok  echo first said this'
ok "a step that goes on is shown while it does" wait_for 20 shows '  \.\.  read -r line'
ok "a step that waits shows for how long" wait_for 20 shows '\.\.  read -r line.* \(1 s\)'
ok "and goes on to do so" wait_for 20 shows '\.\.  read -r line.* \(2 s\)'
is "$(shows 'complaint' && echo shown)" "" "nothing is shown of what comes later"
run os status
is "$status" 0 "status knows that it runs"
like "$out" "^default: coming up since" "and is not up yet"
like "$out" "not run yet" "with what is to come"
run os enter true
is "$status" 0 "a person can already enter"
echo released >"$root/fifo"
wait "$terminal"
is "$?" 0 "it goes on, and is up"
ok "the step is shown as done" shows '  ok  read -r line'
ok "a failed one is shown as such, with what it said" shows '  FAILED  echo complaint.*: exit status 4: complaint'
ok "a daemon with its pid" shows '  ok  echo daemon said.*: started, pid [0-9]+'
ok "warnings are shown" shows '^(.*\[K)?warning: not bound: /plain/file/in: '
ok "the end, too" shows '(^|K)up: .*degraded'
# Each line that stays is a whole one: what waits is written over, from the left edge.
is "$(sed 's/\r*$//; s/.*\r//; s/^\x1b\[K//' "$T/typescript" | grep -v -e '^Script' -e '^$' | grep -cvE '^(  (ok|FAILED)  |warning: |up: )')" 0 "no half line stays"
cp "$log" "$T/log.terminal"
stop

# What waits must fit in a line: what has wrapped cannot be written over.
write_conf long <<-END
	[root]
	source = $root
	[boot]
	run = read -r line </fifo && echo a line that is a good deal longer than the terminal has columns
END
: >"$T/typescript"
script -qefc "stty cols 50; '$gcdboot' -c '$conf' boot -d" "$T/typescript" >/dev/null </dev/null &
terminal=$!
ok "a step that is longer than the terminal is wide" wait_for 20 shows '\.\.  read -r line.*\(2 s\)'
echo released >"$root/fifo"
wait "$terminal"
is "$(tr '\r' '\n' <"$T/typescript" | sed 's/^\x1b\[K//' | grep '^  \.\.  read' | awk 'length > 50' | wc -l)" 0 "is cut to fit while it waits"
stop
like "$err" "gcdboot: ok unmounting" "stop elsewhere has lines like any other, wherever the boot was started"

# A step of the builder waits, too.
write_conf wait <<-END
	[root]
	source = LABEL=gcdprogress-none
	wait = 3s
END
on_terminal boot -d
ok "the wait for the device shows for how long" wait_for 20 shows '\.\.  finding LABEL=gcdprogress-none \([12] s\)'
wait "$terminal"
is "$?" 1 "it ends"
ok "and is shown as failed" shows '  FAILED  finding LABEL=gcdprogress-none'
ok "with the reason" shows 'gcdboot: no filesystem with LABEL=gcdprogress-none \(waited 3 s\)'
run os boot -d
is "$(grep -c 'finding LABEL=gcdprogress-none' <<<"$err")" 1 "elsewhere it is one line, however long it waits"
conf=$T/conf/test.conf

on_terminal -q boot -d
echo released >"$root/fifo"
wait "$terminal"
is "$?:$(sed '/^Script/d' "$T/typescript" | tr -d '\r\n')" "0:" "-q is silent on a terminal as well"
on_terminal stop
wait "$terminal"
ok "stop shows its steps" shows 'ok +unmounting'

# ---- elsewhere: one line for each step

os boot -d 2>"$T/err" &
boot=$!
ok "what is done is written at once" wait_for 20 grep -q 'ok echo first said this' "$T/err"
sleep 1.2
echo released >"$root/fifo"
wait "$boot"
is "$?" 0 "boots"
unlike "$(cat "$T/err")" $'[\r\e]' "no control characters"
is "$(grep -vc '^gcdboot: ' "$T/err")" 0 "every line tells whom it is from"
for step in "finding $root" "mounting $root" "binding the mounts" "echo first said" "read -r line" "echo complaint" "echo daemon said"; do
	is "$(grep -c "^gcdboot: \(ok\|FAILED\) $step" "$T/err")" 1 "one line: $step"
done

# ---- the boot log

is "$(stat -c '%a %u' "$log")" "600 0" "the boot log is root's"
stamp='^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}[-+][0-9]{4}'
for line in "begin finding $root" "ok finding $root.* \([0-9.]+ s\)" "ok mounting" "ok binding the mounts of the host: [0-9]+, 1 skipped" "warning: not bound: /plain/file/in: " \
	"begin echo first said this" "ok echo first said this \([0-9.]+ s\)" "ok read -r line.* \([0-9]+\.[0-9]{3} s\)" \
	"FAILED echo complaint.*: exit status 4: complaint \([0-9.]+ s\)" "ok echo daemon.*started, pid [0-9]+" "up: $root"; do
	ok "in the log, with its time: $line" grep -qE "$stamp $line" "$log"
done
for line in "first said this" "got released" "complaint" "daemon said this"; do
	ok "in the log: the output '$line'" wait_for 10 grep -qx "$line" "$log"
done
is "$(grep -nE 'begin echo first|^first said this|ok echo first' "$log" | cut -d: -f1 | paste -sd' ')" \
	"$(grep -nE 'begin echo first|^first said this|ok echo first' "$log" | cut -d: -f1 | sort -n | paste -sd' ')" "the output stands where it belongs"
# comparable LOG: without times and pids, and without the daemon's output, which comes when it comes.
comparable() {
	sed -E "s/$stamp //; s/ \([0-9.]+ s\)//; s/pid [0-9]+/pid/g; s/since .*, sup/sup/; /^daemon said/d" "$1"
}
is "$(comparable "$log")" "$(comparable "$T/log.terminal")" "the log is the same, wherever the boot was started from"
stop
: >"$T/err"
os -q boot -d 2>"$T/err" &
boot=$!
echo released >"$root/fifo"
wait "$boot"
is "$?:$(cat "$T/err")" "0:" "-q: silent"
ok "but the log is whole" grep -qE "$stamp FAILED echo complaint" "$log"
stop

# ---- hostile output

printf '#!/bin/sh\nprintf "\\033[2Jesc\\007 \\033]0;title\\007\\n"; exit 1\n' >"$root/root/hostile"
chmod +x "$root/root/hostile"
write_conf <<-END
	[root]
	source = $root
	[boot]
	run = /root/hostile
END
boot
is "$status" 0 "a command whose output has control characters"
unlike "$err" $'[\x01-\x09\x0b-\x1f\x7f]' "does not bring them to the person's terminal"
stop

done_testing
