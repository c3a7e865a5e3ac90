#!/bin/bash
# escape: chroot_escape from roots of all kinds, by each of its ways. The "host" is a tree with an /etc of its own that becomes the root of a mount
# and pid namespace, so that nothing of the machine around the test is taken for it.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# ---- the host, and the roots in it

# link_system TREE: this machine's programs and libraries, below a tree.
link_system() {
	local dir

	for dir in usr bin sbin lib lib32 lib64 libx32; do
		if [ -L "/$dir" ]; then
			cp -P "/$dir" "$1/$dir"
		elif [ -d "/$dir" ]; then
			mkdir "$1/$dir"
			mount --bind "/$dir" "$1/$dir"
		fi
	done
}

# make_tree TREE NAME: directories, /etc/os-release with the name, and chroot_escape.
make_tree() {
	mkdir -p "$1"
	mount -t tmpfs -o mode=755 "$2" "$1"
	mkdir -m 755 "$1"/{etc,proc,run,tmp}
	echo "$2" >"$1/etc/os-release"
	cp "$escape" "$1/chroot_escape"
}

# /mnt/os: no shell, no libc. /mnt/full: has them, and its own idea of root. /mnt/bare: one file, nothing else.
make_host() {
	make_tree "$host" host
	link_system "$host"
	mkdir -p "$host"/{dev,sys,home/host,mnt,helpers}
	mount --rbind /dev "$host/dev"
	mount --bind "$helpers" "$host/helpers"
	echo 'root:x:0:0:root:/home/host:/bin/bash' >"$host/etc/passwd"
	printf '%s\n' root:x:0: hosts77:x:77:root others:x:78:daemon hosts79:x:79:daemon,root >"$host/etc/group"

	make_tree "$host/mnt/os" os
	cp "$helpers/empty_argv" "$host/mnt/os"
	make_tree "$host/mnt/full" full
	link_system "$host/mnt/full"
	mkdir "$host/mnt/full/dev"
	mount --bind /dev "$host/mnt/full/dev"
	echo 'root:x:0:0:root:/home/os:/bin/false' >"$host/mnt/full/etc/passwd"
	printf '%s\n' root:x:0: oss11:x:11:root >"$host/mnt/full/etc/group"
	mkdir "$host/mnt/bare"
	mount -t tmpfs -o mode=755 bare "$host/mnt/bare"
	cp "$escape" "$host/mnt/bare/chroot_escape"
}

# What the host's init sees of itself: functions for the scripts below.
# shellcheck disable=SC2016
host_functions='
	# server NAME MODE: somebody answers on /run/gcdboot/NAME/control.
	server() {
		mkdir -p -m 755 "/run/gcdboot/$1"
		exec {server_fd}< <(exec /helpers/control_server "/run/gcdboot/$1/control" "$2")
		read -r -u "$server_fd" _
	}
	# private ROOT COMMAND...: in a mount namespace of its own, as gcdboot makes it. shared ...: in that of the host.
	private() {
		unshare -m --propagation slave chroot "$@"
	}
	shared() {
		chroot "$@"
	}
	# strace_full [OPTION...] -- ARG...: chroot_escape in /mnt/full, under strace, which writes to /tmp/trace there.
	strace_full() {
		private /mnt/full strace -o /tmp/trace "$@"
	}
'

# host SCRIPT: runs it with bash as the host's pid 1. $style tells how the host came to its root: moved (MS_MOVE and chroot, as WSL does it) or
# pivoted (as containers do). The exit keeps bash pid 1: a last command that replaced it would have the server for a child.
style=moved
host() {
	# shellcheck disable=SC2016
	timeout --foreground -k 5 60 unshare -m -p -f --kill-child --propagation private bash -c '
		cd "$1" || exit
		mount -t proc proc proc && mount -t tmpfs -o mode=755 run run || exit
		for root in os full; do
			mount --bind proc "mnt/$root/proc" && mount --bind run "mnt/$root/run" || exit
		done
		if [ "$2" = moved ]; then
			mount --move . / || exit
		else
			pivot_root . . && umount -l . || exit
		fi
		exec chroot . /usr/bin/env -i PATH="$PATH" TERM=xterm LC_ALL=C /bin/bash -c "$3"
	' - "$host" "$style" "$host_functions $1
		exit"
}

# run_host SCRIPT
run_host() {
	run host "$1"
}

host=$T/host
make_host

# ---- where it arrives

for style in moved pivoted; do
	for way in control proc climb; do
		run_host "server default host; private /mnt/os /chroot_escape --method=$way cat /etc/os-release"
		is "$status $out" "0 host" "$way, from a namespace of its own, host root $style"
		run_host "server default host; shared /mnt/os /chroot_escape --method=$way cat /etc/os-release"
		is "$status $out" "0 host" "$way, from a chroot in the host's namespace, host root $style"
	done
done
style=moved

for way in control proc; do
	run_host "server default host; private /mnt/os /chroot_escape --method=$way sh -c '[ /proc/self/ns/mnt -ef /proc/1/ns/mnt ] && [ / -ef /proc/1/root ]'"
	is "$status" 0 "$way leads into the host's own mount namespace"
done

run_host "server default host; private /mnt/os /chroot_escape -v true"
is "$err" $'chroot_escape: control: trying\nchroot_escape: control: taken' "-v: the control socket is the first choice"
run_host "private /mnt/os /chroot_escape -v true"
like "$err" "control: failed: .*proc: trying.*proc: taken" "-v: /proc/1 the second"
run_host "umount /mnt/os/proc; private /mnt/os /chroot_escape -v true"
like "$err" "control: failed: .*proc: failed: .*climb: trying.*climb: taken" "-v: the climb the third"
is "$status" 0 "which works without /proc and /run"
run_host "private /mnt/os /chroot_escape true"
is "$status $err" "0 " "without -v nothing is said"

run_host "mount --bind /mnt/bare /mnt/full/tmp; private /mnt/full chroot /tmp /chroot_escape cat /etc/os-release"
is "$status $out" "0 host" "from a chroot inside a chroot"
run_host "private /mnt/bare /chroot_escape cat /etc/os-release; ls -A /mnt/bare"
is "$status $out" $'0 host\nchroot_escape' "from a root with nothing in it, where nothing is left behind"
run_host "mount -o remount,bind,ro /mnt/bare; private /mnt/bare /chroot_escape cat /etc/os-release"
is "$status $out" "0 host" "from one that is read-only too"
run_host "mkdir /mnt/bare/'.a dir'; mount -o remount,bind,ro /mnt/bare; strace -f -o /tmp/trace unshare -m chroot /mnt/bare /chroot_escape cat /etc/os-release; grep -c CLONE_FILES /tmp/trace; mount -o remount,bind,rw /mnt/bare; rmdir /mnt/bare/.a*"
is "$out" $'host\n0' "a directory of any name serves a read-only root"
run_host "mkdir /mnt/tiny; mount -t tmpfs -o nr_inodes=2 tiny /mnt/tiny; cp /chroot_escape /mnt/tiny; ! mkdir /mnt/tiny/x 2>/dev/null && private /mnt/tiny /chroot_escape cat /etc/os-release"
is "$status $out" "0 host" "from a full one"
run_host "ln -s / /mnt/bare/proc; ln -s .. /mnt/bare/dev; private /mnt/bare /chroot_escape cat /etc/os-release; rm /mnt/bare/proc /mnt/bare/dev"
is "$status $out" "0 host" "from one whose directories are links to itself"

# shellcheck disable=SC2016
run_host 'deep=/mnt/$(printf "d/%.0s" {1..1900}); mkdir -p "$deep"; cp /chroot_escape "$deep"; private "$deep" /chroot_escape --method=climb cat /etc/os-release; rm -r /mnt/d'
is "$status $out" "0 host" "climb: from 1,900 directories down"
run_host "mkdir -p /mnt/os/tmp/self; mount --bind /mnt/os/tmp /mnt/os/tmp/self; cp /chroot_escape /mnt/os/tmp; private /mnt/os/tmp/self /chroot_escape --method=climb cat /etc/os-release"
is "$status $out" "0 host" "climb: out of a directory bound into itself"
run_host "mkdir /mnt/self; mount --bind / /mnt/self; private /mnt/self /chroot_escape --method=climb sh -c '[ -e /proc/1/root ] && cat /etc/os-release'"
is "$status $out" "0 host" "climb: out of a bind of the host's root"
for way in control proc; do
	run_host "mkdir -p /mnt/self; mount --bind / /mnt/self; mount --bind /run /mnt/self/run; mount --bind /proc /mnt/self/proc; server default host; private /mnt/self /chroot_escape --method=$way sh -c '[ / -ef /proc/1/root ] && [ -e /mnt/self/chroot_escape ] && cat /etc/os-release'"
	is "$status $out" "0 host" "$way: out of a bind of the host's root"
done

run_host "private /mnt/full unshare -p -f --mount-proc /chroot_escape -v cat /etc/os-release"
is "$status $out" "0 host" "from a pid namespace of the OS's own"
like "$err" "proc: failed: pid 1 has this very root" "whose pid 1 is not taken for the host's"

# ---- on the host itself

for where in "" "unshare -m"; do
	for server in "" "server default host;"; do
		for args in "" "true" "--method=climb" "--method=proc true" ${server:+"--method=control true"}; do
			run_host "$server $where /chroot_escape $args"
			is "$status $err" "1 chroot_escape: already at the host root" "on the host: ${server:+with an OS, }${where:+in another namespace, }chroot_escape $args"
		done
	done
done
run_host "umount /proc; /chroot_escape true"
is "$status $err" "1 chroot_escape: already at the host root" "on the host: without /proc"
run_host "server default host; umount /proc; /chroot_escape true"
is "$status $err" "1 chroot_escape: already at the host root" "on the host: without /proc, with an OS"

# ---- the control socket misbehaves

for mode in garbage short failed nofds onefd manyfds noroot nonamespace close; do
	run_host "server default $mode; private /mnt/os /chroot_escape -v cat /etc/os-release"
	is "$status $out" "0 host" "a socket that answers with $mode does not stop it"
	like "$err" "control: failed: .*proc: taken" "and is passed over"
done
run_host "server default longer; private /mnt/os /chroot_escape --method=control cat /etc/os-release"
is "$status $out" "0 host" "a later supervisor's longer answer is understood"
run_host "server default failed; private /mnt/os /chroot_escape --method=control true"
is "$status $err" "1 chroot_escape: control: /run/gcdboot/default/control: the supervisor refused: not today" "a refusal is told"

# These wait for their 5 s side by side.
pids=()
for mode in hang lines noaccept; do
	host "server default $mode; private /mnt/os /chroot_escape -v cat /etc/os-release" >"$T/$mode.out" 2>"$T/$mode.err" </dev/null &
	pids+=($!)
done
host "server a hang; server b hang; server c hang; private /mnt/os /chroot_escape --method=control true" >"$T/three.out" 2>"$T/three.err" </dev/null &
pids+=($!)
host "server a hang; server b hang; mount --bind /run /mnt/full/run; strace_full -e trace=connect /chroot_escape true; grep -c '^connect' /mnt/full/tmp/trace" >"$T/two.out" 2>"$T/two.err" </dev/null &
pids+=($!)
wait "${pids[@]}"
for mode in hang lines noaccept; do
	is "$(cat "$T/$mode.out")" host "a socket with $mode does not stop it"
	like "$(cat "$T/$mode.err")" "control: failed: .*Connection timed out.*proc: taken" "and is given up"
done
is "$(grep -o '/run/gcdboot/./control' "$T/three.err" | sort | tr '\n' ' ')" "/run/gcdboot/a/control /run/gcdboot/b/control /run/gcdboot/c/control " "every socket's reason is told"
is "$(cat "$T/two.out")" 1 "sockets that hang share one time limit"

# shellcheck disable=SC2016
run_host 'server a close; kill -KILL $!; wait $!; server b host; private /mnt/os /chroot_escape -v cat /etc/os-release'
is "$status $out" "0 host" "a stale socket: the next one is asked"
unlike "$err" "proc:" "and gives the way"
run_host "server a host; chown 1000 /run/gcdboot/a; private /mnt/os /chroot_escape --method=control true"
is "$status $err" "1 chroot_escape: control: /run/gcdboot/a is not owned by root" "a directory of somebody else's"
run_host "server a host; chmod 777 /run/gcdboot; private /mnt/os /chroot_escape --method=control true"
is "$status $err" "1 chroot_escape: control: /run/gcdboot is writable by group or other" "a directory that anybody may write"

# ---- what it may not do, it names

run_host "private /mnt/full setpriv --bounding-set -sys_chroot /chroot_escape true"
is "$status" 1 "without CAP_SYS_CHROOT"
like "$err" "^chroot_escape: needs CAP_SYS_CHROOT" "it names it"
run_host "server default host; private /mnt/full setpriv --bounding-set -sys_admin /chroot_escape --method=control true"
is "$status" 1 "control without CAP_SYS_ADMIN"
like "$err" "^chroot_escape: control: needs CAP_SYS_ADMIN" "it names it"
run_host "server default host; private /mnt/full setpriv --bounding-set -sys_admin /chroot_escape cat /etc/os-release"
is "$status $out" "0 host" "without CAP_SYS_ADMIN another way is found"
run_host "server default host; shared /mnt/full setpriv --bounding-set -sys_admin /chroot_escape --method=control cat /etc/os-release"
is "$status $out" "0 host" "and where there is no namespace to enter, control needs none"
run_host "private /mnt/full setpriv --bounding-set -setgid /chroot_escape cat /etc/os-release"
is "$status $out" "0 host" "without CAP_SETGID the groups stay as they are"
run_host "private /mnt/full setpriv --reuid 1000 --clear-groups /chroot_escape true"
is "$status" 1 "not as root"
like "$err" "^chroot_escape: needs root" "it says so"
run_host "server default host; strace_full -e inject=setns:error=EPERM /chroot_escape --method=control true"
like "$err" "^chroot_escape: control: setns .*seccomp" "setns refused, with the capability there"

run_host "umount /mnt/full/proc; strace_full -e inject=chroot:error=EPERM /chroot_escape true"
is "$status" 1 "where every way fails"
like "$err" $'^chroot_escape: found no way back to the host:\n  control: .*\n  proc: .*\n  climb: ' "each one's reason is told"

# Of pid 1 only its namespace can be opened (the third of its opens fails), or only its root.
run_host "strace_full -e inject=openat:error=EACCES:when=2 /chroot_escape --method=proc cat /etc/os-release"
is "$status $out" "0 host" "proc: with the namespace alone"
run_host "strace_full -e inject=openat:error=EACCES:when=3 /chroot_escape --method=proc cat /etc/os-release"
is "$status $out" "0 host" "proc: with the root alone"
run_host "strace_full -e inject=openat:error=EACCES:when=2..3 /chroot_escape --method=proc true"
is "$status $err" "1 chroot_escape: proc: cannot open /proc/1/ns/mnt and /proc/1/root: Permission denied" "proc: with neither"

# ---- old kernels

# shellcheck disable=SC2016
for way in control proc climb; do
	run_host 'server default host; strace_full -e inject=statx,openat2,close_range:error=ENOSYS /chroot_escape --method='$way' bash -c "cat /etc/os-release; id -G; echo /proc/\$\$/fd/*" 7</ 8</'
	like "$status $out" $'^0 host\n0 77 79\n/proc/[0-9]+/fd/0 /proc/[0-9]+/fd/1 /proc/[0-9]+/fd/2( /proc/[0-9]+/fd/3)?$' "$way without statx, openat2 and close_range (bash itself opens 3)"
done
run_host "server default host; strace -o /dev/null -e inject=statx:error=ENOSYS /chroot_escape true"
is "$status $err" "1 chroot_escape: already at the host root" "on the host: without statx"

# ---- what arrives

run_host "private /mnt/full env -i LD_PRELOAD=/evil.so LD_LIBRARY_PATH=/evil PATH=/evil:/bin:/usr/bin HOME=/evil SHELL=/evil FOO=1 IFS=x SSH_TTY=/x TERM=vt220 COLORTERM=truecolor LANG=C.UTF-8 LC_TIME=C TZ=Asia/Tokyo WSL_INTEROP=/run/WSL/1_interop WSLENV=A/p WSLX=1 /chroot_escape env | sort"
is "$out" "COLORTERM=truecolor
HOME=/home/host
LANG=C.UTF-8
LC_TIME=C
LOGNAME=root
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
SHELL=/bin/bash
TERM=vt220
TZ=Asia/Tokyo
USER=root
WSLENV=A/p
WSL_INTEROP=/run/WSL/1_interop" "the environment is the host's, but for terminal, locale and WSL's"

run_host "private /mnt/full setpriv --groups 11,14 /chroot_escape id -Gn"
is "$out|$err" "root hosts77 hosts79|" "the groups are the host's, each with a name"
run_host "private /mnt/full setpriv --groups 11,14 /chroot_escape id -G"
is "$out" "0 77 79" "and no other"
run_host "private /mnt/os /chroot_escape pwd"
is "$out" /home/host "the working directory is root's home"
run_host "mv /home/host /home/away; private /mnt/os /chroot_escape pwd; mv /home/away /home/host"
is "$out" / "or / where it has none"
# shellcheck disable=SC2016
run_host 'for i in {3..50}; do eval "exec $i</"; done; private /mnt/os /chroot_escape ls /proc/self/fd'
is "$out" $'0\n1\n2\n3' "no descriptor above 2 (3 is the directory that ls reads)"
for roots in os bare; do
	# shellcheck disable=SC2016
	run_host 'exec {keep}>/tmp/kept; private /mnt/'$roots' /chroot_escape sh -c "ls /proc/\$\$/fd | head -n 3 >/tmp/kept" <&- >&- 2>&-; cat /tmp/kept'
	is "$out" $'0\n1\n2' "closed standard descriptors are filled ($roots)"
done
# shellcheck disable=SC2016
run_host 'trap "" PIPE HUP INT TERM; private /mnt/os /chroot_escape grep SigIgn /proc/self/status'
is "$out" $'SigIgn:\t0000000000000000' "no signal is ignored"
# shellcheck disable=SC2016
run_host 'private /mnt/os /chroot_escape sh -c "echo \$PPID \$\$" | { read -r parent self; [ "$parent" != "$self" ] && echo "$parent"; }'
like "$out" '^[0-9]+$' "a command in a pipe"

echo 'tty -s && : </dev/tty && tty -s <&1 && echo "a tty"' >"$host/ask_tty"
run_host "script -qefc 'unshare -m chroot /mnt/os /chroot_escape sh /ask_tty' /dev/null"
is "$status ${out//$'\r'/}" "0 a tty" "the tty stays, as the controlling one too"

# shellcheck disable=SC2016
run_host 'private /mnt/os /chroot_escape <<<"echo \$0; shopt -q login_shell && echo login; pwd; cat /etc/os-release; exit 5"'
is "$status $out" $'5 -bash\nlogin\n/home/host\nhost' "without a command: the host root's login shell, as one"
run_host "mv /etc/passwd /etc/away; private /mnt/os /chroot_escape <<<'echo \$0 \$HOME'; mv /etc/away /etc/passwd"
is "$out" "-sh /" "without the host's passwd: a plain shell"

for way in control proc climb; do
	run_host "server default host; strace -f -o /tmp/trace unshare -m chroot /mnt/os /chroot_escape --method=$way cat /etc/os-release; tac /tmp/trace | sed -n '/execve(\".*\\/cat\".* = 0/,/chroot(/p' | tac"
	like "$out" $'host\n*[0-9]+ +chroot\("\."\) .*execve\(' "$way: the trace has the last chroot and the exec"
	unlike "$out" 'open|socket|mmap.*, [0-9]+, ' "$way: between them nothing is opened"
done
run_host "strace_full -f -e trace=execve,fork,vfork,clone,clone3 /chroot_escape true; cat /mnt/full/tmp/trace"
like "$out" 'execve\("[^"]*/true"' "a trace of the process"
unlike "$out" 'fork|clone' "has no fork in it"

# ---- the command line and the exit status

run_host "private /mnt/os /chroot_escape sh -c 'exit 7'"
is "$status" 7 "the exit status is the command's"
run_host "private /mnt/os /chroot_escape sh -c 'kill -TERM \$\$'; echo \$?"
is "$out" 143 "so is its signal"
run_host "private /mnt/os /chroot_escape ls -1 -d /etc"
is "$status $out" "0 /etc" "options end at the command"
run_host "private /mnt/os /chroot_escape -v -- echo -v --"
is "$status $out" "0 -v --" "and at --"
run_host "private /mnt/os /chroot_escape nosuch"
is "$status $err" "127 chroot_escape: nosuch: No such file or directory" "a command that does not exist"
run_host "private /mnt/os /chroot_escape /no/such -x"
is "$status $err" "127 chroot_escape: /no/such: No such file or directory" "a path that does not exist"
run_host "private /mnt/os /chroot_escape /etc"
is "$status $err" "126 chroot_escape: /etc: Permission denied" "a directory as a command"
run_host "private /mnt/os /chroot_escape /etc/passwd"
is "$status $err" "126 chroot_escape: /etc/passwd: Permission denied" "a file that is not executable"
run_host "echo '#!/no/such/interpreter' >/tmp/script; chmod 755 /tmp/script; private /mnt/os /chroot_escape /tmp/script"
is "$status" 126 "a script without its interpreter"
like "$err" "interpreter or dynamic loader" "is told apart from a missing one"

run_host "/chroot_escape --help"
is "$status $err" "0 " "--help"
like "$out" "--method=" "shows the options"
run_host "/chroot_escape --version"
like "$status $out" "^0 chroot_escape [0-9]+\." "--version"
run_host "/chroot_escape --help >/dev/full"
is "$status" 1 "--help into a full disk"
for args in --nosuch -x "-vx true" --method --method= --method=up "-v --method true"; do
	run_host "private /mnt/os /chroot_escape $args"
	is "$status" 2 "usage: $args"
	like "$err" "^chroot_escape: (unknown (option|method) '|option '--method' needs a value)" "says what is wrong"
done
run_host "private /mnt/os /empty_argv /chroot_escape"
is "$status $err" "2 chroot_escape: started with an empty argument list" "without even a name"

done_testing
