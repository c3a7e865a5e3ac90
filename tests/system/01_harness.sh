#!/bin/bash
# 01_harness: the library reports a test that fails, dies early, or leaves the host changed. Each case is a small test of its own, run within this one.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# case_test: stdin becomes a test script, and runs as prove would run it. It sees the /run and the loop devices of this test as its host.
case_test() {
	{
		echo "cd $repo && . tests/system/lib.sh"
		cat
	} >"$T/case.sh"
	run env -u BED_INSIDE -u BED_SHARED bash "$T/case.sh"
}

case_test <<'END'
ok "true" true
done_testing
END
is "$status" 0 "a good test passes"
is "$out" $'ok 1 - true\nok 2 - the host is as it was\n1..2' "with one line more than its own"

case_test <<'END'
is a b "the letters"
done_testing
END
is "$status" 1 "a bad one fails"
like "$out" "not ok 1 - the letters" "and is named"
like "$out" "got: a" "with what it got"

case_test <<'END'
ok "true" true
exit 0
done_testing
END
is "$status" 1 "a test that ends early fails, also with exit status 0"
like "$out" "not ok 2 - the test ran to its end" "and says so"

case_test <<'END'
plan 2
ok "true" true
done_testing
END
like "$out" "not ok 2 - the test ran to its end" "fewer tests than planned"

case_test <<'END'
skip_all "no such thing here"
END
is "$out" "1..0 # SKIP no such thing here" "a skipped test keeps its reason"

# Descriptor 9 is the host's /run, from before the test got its own.
exec 9</run
case_test <<'END'
touch /proc/self/fd/9/litter
ok "true" true
done_testing
END
is "$status" 1 "a file left in the host's /run is a failure"
like "$out" "not ok 2 - the host is as it was" "which is the host's line"
like "$out" "host changed: .*litter" "and names the file"
rm -f /run/litter
exec 9<&-

case_test <<'END'
truncate -s 1M "$BED_INSIDE/leak.img"
losetup --find --show "$BED_INSIDE/leak.img" >/run/leak
ok "true" true
done_testing
END
like "$out" "host changed: .*leak.img" "a loop device left attached is a failure"
losetup --list --noheadings --raw --output NAME,BACK-FILE | sed -n 's/ .*leak\.img.*//p' | xargs -r -n 1 losetup --detach

case_test <<'END'
truncate -s 1M "$T/image"
attach "$T/image"
setsid sleep 1000 &
mount -t tmpfs left /mnt
done_testing
END
is "$status" 0 "what goes with the namespace, and what attach() has noted, is no failure"
ok "the loop device is gone" bash -c '! losetup --list | grep -q /image'

# A test that is ended from outside (prove's ^C, the time limit) takes everything with it.
cat >"$T/long.sh" <<END
cd $repo && . tests/system/lib.sh
truncate -s 1M "\$T/image"
attach "\$T/image"
echo "ok 1 - attached"
echo "\$BED_INSIDE" >"$T/long.dir"
sleep 1000
END
env -u BED_INSIDE bash "$T/long.sh" >"$T/long.out" 2>&1 &
long=$!
ok "a long test starts" wait_for 20 grep -q attached "$T/long.out"
wait_for 20 test -s "$T/long.dir"
kill -TERM "$long"
kill -TERM "$long" 2>/dev/null
ok "SIGTERM ends it" wait_gone 20 "$long"
ok "its loop device is gone" bash -c '! losetup --list | grep -q /image'
ok "its directory is gone" test ! -e "$(cat "$T/long.dir")"

done_testing
