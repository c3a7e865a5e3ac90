# shellcheck shell=bash
# tap.sh: TAP, and running commands, for a test that is a bash script. Sourced by the libraries of the system tests and of the machine tests, which have
# set $T, the test's scratch directory.

tests=0 failures=0 out='' err='' status=0

# ---- TAP

# pass DESCRIPTION, fail DESCRIPTION
pass() {
	tests=$((tests + 1))
	echo "ok $tests - $1"
}

fail() {
	tests=$((tests + 1))
	failures=$((failures + 1))
	echo "not ok $tests - $1"
	diag "at ${BASH_SOURCE[-1]##*/} line ${BASH_LINENO[-2]}"
	[ "$(type -t on_fail)" != function ] || on_fail
}

# diag TEXT: a comment line for each of its lines.
diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# What the last `run` did, for a failed test.
diag_run() {
	diag "exit status: $status"
	diag "stdout: $out"
	diag "stderr: $err"
}

# ok DESCRIPTION COMMAND [ARG...]: good where the command succeeds. It runs in this shell: a function's variables stay.
ok() {
	local description=$1

	shift
	if "$@" >"$T/.ok" 2>&1 </dev/null; then
		pass "$description"
	else
		fail "$description"
		diag "command: $*"
		diag "$(cat "$T/.ok")"
	fi
}

# is GOT WANTED DESCRIPTION
is() {
	if [ "$1" = "$2" ]; then
		pass "$3"
	else
		fail "$3"
		diag "     got: $1"
		diag "  wanted: $2"
		# Most likely the exit status of the last `run`: then its output tells more.
		[ "$1" != "$status" ] || diag_run
	fi
}

# like GOT REGEX DESCRIPTION, unlike ...: POSIX extended, anywhere in the text.
like() {
	if [[ $1 =~ $2 ]]; then
		pass "$3"
	else
		fail "$3"
		diag "     got: $1"
		diag "  wanted: $2"
	fi
}

unlike() {
	if [[ $1 =~ $2 ]]; then
		fail "$3"
		diag "       got: $1"
		diag "  unwanted: $2"
	else
		pass "$3"
	fi
}

# same FILE FILE DESCRIPTION: byte for byte.
same() {
	local difference

	if difference=$(diff "$1" "$2"); then
		pass "$3"
	else
		fail "$3"
		diag "$difference"
	fi
}

# skip N REASON: N tests that this machine cannot run. CI accepts no skip but those that tests/run lists.
skip() {
	local i

	for ((i = 0; i < $1; i++)); do
		tests=$((tests + 1))
		echo "ok $tests # SKIP $2"
	done
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# plan N, at the start, where the number is known; done_testing, at the end, where not.
plan() {
	echo "1..$1"
	planned=$1
}

# shellcheck disable=SC2120
done_testing() {
	[ -n "${planned:-}" ] || echo "1..$tests"
	[ "$failures" = 0 ]
	exit
}

# ---- commands

# run COMMAND [ARG...]: sets $status, $out and $err. Through files, not pipes: a daemon that has kept its stdout must not keep the test waiting.
# A program (not a function) is ended after RUN_TIMEOUT seconds, 60 by default; $status is then 124.
run() {
	local limit=(timeout --foreground -k 5 "${RUN_TIMEOUT:-60}")

	[ "$(type -t "$1")" = file ] || limit=()
	${limit[@]+"${limit[@]}"} "$@" >"$T/.out" 2>"$T/.err" </dev/null
	status=$?
	out=$(cat "$T/.out")
	err=$(cat "$T/.err")
	return 0
}

# wait_for SECONDS COMMAND [ARG...]: until it succeeds; fails after the time. For what sends no event that a shell could wait on.
wait_for() {
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# wait_gone SECONDS PID: until the process has ended (woken by its end, for a child or not).
wait_gone() {
	timeout "$1" tail --pid="$2" -f /dev/null
}
