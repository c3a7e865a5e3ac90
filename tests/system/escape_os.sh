#!/bin/bash
# escape_os: chroot_escape from inside a booted OS: through `enter`, from a boot command, from a service; from the tiny root and from a Debian. Roots and hosts of every other
# kind are in escape.
# shellcheck disable=SC2016
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/os.bash
. "$lib_dir/os.bash"

host_groups=$(env -i PATH="$PATH" bash -c 'exec setpriv --init-groups --reuid 0 id -Gn' 2>/dev/null || id -Gn root)
host_home=$(getent passwd root | cut -d: -f6)
host_shell=$(getent passwd root | cut -d: -f7)
host_ns=$(readlink /proc/self/ns/mnt)

# escape_through ARG...: chroot_escape with these arguments, from inside through `enter`.
escape_through() {
	run os enter chroot_escape "$@"
}

# arrives WHAT OPTION...: the host, in full.
arrives() {
	local what=$1

	shift
	escape_through "$@" cat /etc/os-release
	is "$status" 0 "$what: exit status 0"
	same "$T/.out" /etc/os-release "$what: the os-release is the host's"
	is "$err" '' "$what: without a word"
	escape_through "$@" readlink /proc/self/ns/mnt
	is "$out" "$host_ns" "$what: in the host's mount namespace"
	escape_through "$@" cat /proc/self/mountinfo
	same "$T/.out" /proc/self/mountinfo "$what: sees the host's mounts"
	escape_through "$@" id -Gn
	is "$out|$err" "$host_groups|" "$what: the groups are the host's, each with a name"
	escape_through "$@" pwd
	is "$out" "$host_home" "$what: in root's home"
	escape_through "$@" sh -c 'ls /proc/$$/fd'
	is "$out" $'0\n1\n2' "$what: no descriptor above 2"
}

# ---- the tiny OS

os_tree
printf '#!/bin/sh
chroot_escape readlink /proc/self/ns/mnt >/var/log/from_boot 2>&1
' >"$T/tree/etc/rc.d/escapes"
mkdir "$T/tree/service/escape"
printf '#!/bin/sh
{ chroot_escape readlink /proc/self/ns/mnt; chroot_escape id -Gn; } >/var/log/from_service.new 2>&1
mv /var/log/from_service.new /var/log/from_service
exec sleep 100
' >"$T/tree/service/escape/run"
chmod 755 "$T/tree/etc/rc.d/escapes" "$T/tree/service/escape/run"
os_disk escape1
conf_with() {
	write_conf <<-END
		[root]
		source = LABEL=escape1
		path = $rootdir
		$(printf '%s\n' "$@")
		[boot]
		daemon = /etc/init.d/svscanboot
		run = /etc/rc.d/escapes
	END
}
conf_with
host_before
boot
is "$status" 0 "the OS is up"
run os enter id -G
is "$out" "0 11 14" "its root is in groups of its own"

arrives "default"
for method in control proc climb; do
	if [ $method = climb ]; then
		# It cannot leave the mount namespace: it arrives at the top of the OS's, which is a copy of the host's.
		escape_through --method=climb cat /etc/os-release
		is "$status" 0 "climb: exit status 0"
		same "$T/.out" /etc/os-release "climb: the os-release is the host's"
		escape_through --method=climb id -Gn
		is "$out|$err" "$host_groups|" "climb: the groups are the host's"
		escape_through --method=climb pwd
		is "$out" "$host_home" "climb: in root's home"
	else
		arrives "$method" --method=$method
	fi
	escape_through -v --method=$method true
	like "$err" "chroot_escape: $method: taken" "$method: -v says that it was taken"
	is "$(grep -c ': trying' <<<"$err")" 1 "$method: and no other was tried"
done
escape_through -v true
like "$status $err" '^0 .*chroot_escape: control: taken' "by default through the control socket"

is "$(os enter cat /var/log/from_boot)" "$host_ns" "from a boot command"
wait_for 10 os enter test -e /var/log/from_service
is "$(os enter cat /var/log/from_service)" "$host_ns"$'\n'"$host_groups" "from a service"

# ---- what arrives

run os enter env LD_PRELOAD=/evil.so LD_LIBRARY_PATH=/evil FOO=1 PATH=/evil:/usr/local/sbin HOME=/evil SHELL=/evil TERM=vt220 LANG=C.UTF-8 LC_TIME=C /usr/local/sbin/chroot_escape env
variables=$(sort <<<"$out")
is "$variables" "HOME=$host_home
LANG=C.UTF-8
LC_TIME=C
LOGNAME=root
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
SHELL=$host_shell
TERM=vt220
USER=root" "the environment is the host's; TERM and the locale stay"
run os enter sh -c 'exec 5</etc/passwd 9</; cd /etc; exec chroot_escape sh -c "pwd; ls /proc/\$\$/fd"'
is "$out" "$host_home"$'\n0\n1\n2' "neither directory nor descriptors of the OS come along"
run bash -c "echo sent through | '$gcdboot' -c '$conf' enter chroot_escape tr a-z A-Z"
is "$status $out" "0 SENT THROUGH" "stdin and stdout stay"
run script -qefc "'$gcdboot' -c '$conf' enter chroot_escape sh -c 'tty -s && : </dev/tty && echo a tty; exit 3'" /dev/null
is "$status ${out//$'\r'/}" "3 a tty" "the terminal stays, as the controlling one too"
run bash -c "echo 'echo \$0; pwd; readlink /proc/self/ns/mnt; exit 5' | '$gcdboot' -c '$conf' enter chroot_escape"
is "$status $out" "5 -$(basename "$host_shell")
$host_home
$host_ns" "without a command: the login shell of the host's root"

# ---- how it ends

escape_through sh -c 'exit 7'
is "$status" 7 "the exit status is the command's"
for signal in 9 15; do
	run bash -c "'$gcdboot' -c '$conf' enter chroot_escape sh -c 'kill -$signal \$\$'; exit \$?"
	is "$status" "$((128 + signal))" "128+$signal for a signal"
done
run os enter sh -c 'chroot_escape sh -c "kill -TERM \$\$"; echo $?'
is "$out" 143 "seen from the OS, too"
escape_through nosuch
is "$status $err" "127 chroot_escape: nosuch: No such file or directory" "a command that does not exist: 127"
escape_through /etc/passwd
is "$status $err" "126 chroot_escape: /etc/passwd: Permission denied" "one that is not executable: 126"
escape_through --nosuch
is "$status" 2 "a mistake in the arguments: 2"

# ---- on the host itself, with the OS up

for args in '' true --method=control '--method=control true' --method=proc '--method=proc true' --method=climb '--method=climb true' '-- sh -c true'; do
	# shellcheck disable=SC2086
	run "$escape" $args
	is "$status $err" "1 chroot_escape: already at the host root" "on the host: chroot_escape $args"
done
run os enter chroot_escape "$escape" true
is "$status $err" "1 chroot_escape: already at the host root" "from a command that has escaped"

# ---- ways that are closed

run os enter unshare -m sh -c 'umount -l /proc; mount -t tmpfs none /proc; exec chroot_escape -v readlink /proc/self/ns/mnt'
is "$status $out" "0 $host_ns" "without /proc"
like "$err" 'control: taken' "the control socket is enough"
run os enter unshare -m sh -c 'mount -t tmpfs none /run; exec chroot_escape -v readlink /proc/self/ns/mnt'
is "$status $out" "0 $host_ns" "without /run"
like "$err" 'control: failed: .*proc: taken' "by /proc/1"
run os enter unshare -m sh -c 'mount -t tmpfs none /run; mount -t tmpfs none /proc; exec chroot_escape -v cat /etc/os-release'
is "$status $out" "0 $(cat /etc/os-release)" "without both"
like "$err" 'control: failed: .*proc: failed: .*climb: taken' "by the climb"

old=$(supervisor)
kill -KILL "$old"
wait_gone 5 "$old"
escape_through -v readlink /proc/self/ns/mnt
is "$status $out" "0 $host_ns" "the supervisor was killed: it escapes all the same"
like "$err" 'control: failed: .*Connection refused.*proc: taken' "by /proc/1, and -v tells why"
escape_through --method=control true
is "$status" 1 "--method=control then fails"
like "$err" '^chroot_escape: control: .*Connection refused' "and says why"
run os boot --detach
escape_through -v true
like "$status $err" '^0 .*control: taken' "after a take-over the control socket is there again"
stop
is "$status" 0 "stop"
host_same "the host is as before"

# ---- without the capability

conf_with '[caps]' 'drop = sys_chroot'
boot
escape_through true
is "$status $err" "1 chroot_escape: needs CAP_SYS_CHROOT, which was taken from this process" "an OS without CAP_SYS_CHROOT: it is named"
stop
conf_with '[caps]' 'drop = sys_admin'
boot
escape_through --method=control true
is "$status" 1 "an OS without CAP_SYS_ADMIN"
like "$err" '^chroot_escape: control: needs CAP_SYS_ADMIN' "it is named"
stop
host_same "the host is as before"

# ---- with mount = host
conf_with '[namespace]' 'mount = host'
boot
for method in '' control proc climb; do
	arrives "mount = host, ${method:-default}" ${method:+--method=$method}
done
stop
host_same "the host is as before"

# ---- a Debian: another libc, other groups, other programs

cp --sparse=always "$disk_image" "$T/disk.img"
attach "$T/disk.img"
tune2fs -U random "${loop}p3" >/dev/null
write_conf <<-END
	[root]
	source = UUID=$(blkid -p -s UUID -o value "${loop}p3")
	path = $rootdir
	[boot]
	daemon = /etc/init.d/svscanboot
	run = /etc/rc.d/rc.M
END
host_before
boot
is "$status" 0 "the Debian is up"
run os enter id -Gn
is "$out" "root floppy11 users14" "its root is in groups of its own"
run os enter cat /etc/os-release
like "$out" 'GCD OS' "its os-release is its own"
arrives "from the Debian"
run script -qefc "'$gcdboot' -c '$conf' enter bash -ic 'chroot_escape bash -ic \"id -Gn; tty -s && echo a tty\"'" /dev/null
is "$status ${out//$'\r'/}" "0 $host_groups"$'\n'"a tty" "from an interactive shell into another"
stop
is "$status" 0 "and stops"
host_same "the host is as before"
ok "the device is free" device_is_free "${loop}p3"
detach "$loop"

done_testing
