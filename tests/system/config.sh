#!/bin/bash
# config: the configuration as far as it acts on a boot: [bind], [namespace], [caps], [env], [boot], [host NAME], and the mistakes in it.
# Functions are called through `ok`.
# shellcheck disable=SC2119,SC2317
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

root=$T/root
make_root "$root"
printf '#!/bin/sh\nexec sleep 1000\n' >"$root/etc/init.d/svscanboot"

# inside COMMAND...: its output, in the OS.
inside() {
	os enter "$@"
}

# targets: what is mounted in the OS, one mount point a line.
targets() {
	inside cat /proc/self/mountinfo | cut -d' ' -f5 | sort
}

is_mounted() {
	targets | grep -qxF "$1"
}

is_not_mounted() {
	! is_mounted "$1"
}

log=/run/gcdboot/default/boot.log

# ---- [bind]

mount -t tmpfs -o mode=755 host_mnt /mnt
mkdir -p /mnt/a/b /mnt/c "/mnt/d e"
mount -t tmpfs a /mnt/a
mkdir /mnt/a/b
mount -t tmpfs ab /mnt/a/b
mount -t tmpfs c /mnt/c
mount -t tmpfs de "/mnt/d e"
write_conf <<-END
	[root]
	source = $root
	[bind]
	mounts = none
	[boot]
	run = true
END
boot
is "$status" 0 "mounts = none: boots"
enter ls -A /proc /mnt
is "$out" $'/mnt:\n\n/proc:' "and nothing of the host is there"
stop
is "$status" 0 "and stops"

write_conf <<-END
	[root]
	source = $root
	[bind]
	mounts = none
	extra = /proc
	extra = /mnt/c:/mnt/other
	[boot]
	run = true
END
boot
is "$(targets | tr '\n' ' ')" "/ /mnt/other /proc " "mounts = none: what extra names is there, and only that"
stop

write_conf <<-END
	[root]
	source = $root
	[bind]
	exclude = /mnt/a
	exclude = /mnt/d*
	[boot]
	run = true
END
boot
ok "exclude: the rest is bound" is_mounted /mnt/c
ok "what it names is not" is_not_mounted /mnt/a
ok "nor what is below that" is_not_mounted /mnt/a/b
ok "a pattern works, and it may repeat" is_not_mounted '/mnt/d\040e'
stop

printf 'host resolv\n' >"$T/resolv"
printf 'host init\n' >"$T/init"
mkdir -p "$T/src/sub"
printf 'src\n' >"$T/src/file"
mkdir -p "$root/run" "$root/data"
ln -sfn ../run/x/resolv.conf "$root/etc/resolv.conf"
ln -sfn sbin/init "$root/init"
printf 'own init\n' >"$root/sbin/init.own"
rm -f "$root/sbin/init"
mv "$root/sbin/init.own" "$root/sbin/init"
write_conf <<-END
	[root]
	source = $root
	[bind]
	exclude = /mnt
	extra = $T/resolv:/etc/resolv.conf
	extra = $T/init:/init
	extra = $T/src:/data
	extra = $T/src:/data/sub:ro
	extra = $T/src/file:/opt/new/file:ro
	extra = /etc/hostname
	[boot]
	run = true
END
boot
is "$status" 0 "extra: boots"
unlike "$err" "not bound" "everything can be bound"
enter cat /etc/resolv.conf /init /sbin/init /data/file /data/sub/file /opt/new/file
is "$out" $'host resolv\nhost init\nown init\nsrc\nsrc\nsrc' "each is where it should be; a file bind goes over a link, not over what that leads to"
enter sh -c 'touch /data/new && ! touch /data/sub/new 2>/dev/null && ! touch /opt/new/file 2>/dev/null'
is "$status" 0 "ro is read-only, the rest is not"
ok "the host's side of it stays writable" touch "$T/src/file"
enter cat /etc/hostname
is "$out" "$(cat /etc/hostname)" "without a target it goes to the same place"
stop
is "$(readlink "$root/etc/resolv.conf") $(readlink "$root/init")" "../run/x/resolv.conf sbin/init" "the links in the root are what they were"

# A host with modules, whatever this one has: a layer over /lib, which has to stay out of the OS.
mkdir -p "$T/upper/modules/6.1-test" "$T/work"
lib=$(realpath /lib)
if mount -t overlay overlay -o "lowerdir=$lib,upperdir=$T/upper,workdir=$T/work" "$lib"; then
	write_conf <<-END
		[root]
		source = $root
		[bind]
		exclude = $lib
		[boot]
		run = true
	END
	boot
	ok "modules: the host's /lib/modules is at /boot/lib/modules" inside test -d /boot/lib/modules/6.1-test
	stop
	sed -i '/^exclude/a modules = /data/mod' "$conf"
	mkdir "$root/data/mod"
	boot
	ok "modules = elsewhere" inside test -d /data/mod/6.1-test
	ok "and no longer there" inside test ! -e /boot/lib/modules/6.1-test
	stop
	rmdir "$root/data/mod"
	boot
	is "$status" 0 "modules: a place that does not exist in the root is no failure"
	unlike "$err" "warning" "nor worth a word"
	ok "and is not made" test ! -e "$root/data/mod"
	stop
	sed -i 's/^modules = .*/modules =/' "$conf"
	boot
	ok "modules = nothing: not bound" inside test ! -e /boot/lib/modules/6.1-test
	stop
	umount --lazy "$lib"
else
	skip 7 "no overlayfs in this kernel"
fi

write_conf <<-END
	[root]
	source = $root
	[bind]
	create = no
	extra = $T/src:/not/there
	[boot]
	run = true
END
rm -rf "${root:?}/mnt"
boot
is "$status" 0 "create = no: boots"
like "$err" "warning: not bound: /mnt: .*create = no" "what has no mount point is left out, with the reason"
ok "and none is made" test ! -e "$root/mnt" -a ! -e "$root/not"
run os status
like "$out" "/not/there: " "status names what was left out"
stop
mkdir "$root/mnt"
umount -R /mnt

# ---- [namespace]

host_table "$T/table.before"
write_conf <<-END
	[root]
	source = $root
	path = $T/os
	[namespace]
	mount = host
	[boot]
	daemon = sleep 1000
END
boot
is "$status" 0 "mount = host: boots"
is "$(chroot "$T/os" sh -c 'echo ok; ls /proc/1/comm')" $'ok\n/proc/1/comm' "a plain chroot works"
enter readlink /proc/self/ns/mnt
is "$out" "$(readlink /proc/self/ns/mnt)" "enter is in the host's namespace"
enter cat /etc/os-release
like "$out" "GCD OS" "and in the OS's root"
run os status --json
like "$out" '"namespace": "host"' "status says so"
stop
is "$status" 0 "it stops"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "and everything is unmounted"
ok "the mount point is gone" test ! -e "$T/os"
make_image "$T/disk.img" gcdconf
attach "$T/disk.img"
write_conf <<-END
	[root]
	source = LABEL=gcdconf
	path = $T/os
	[namespace]
	mount = host
	[boot]
	require = false
END
host_table "$T/table.before"
run os boot -d
is "$status" 1 "mount = host: a boot that fails"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "is undone"
write_conf <<-END
	[root]
	source = LABEL=gcdconf
	path = $T/os
	[boot]
	run = true
END
boot
ok "mount = private: the host sees nothing of it" test ! -e "$T/os/etc"
stop
detach "$loop"

# ---- [caps]

write_conf <<-END
	[root]
	source = $root
	[caps]
	drop = sys_boot, CAP_SYS_MODULE mknod
	[boot]
	run = grep ^Cap /proc/self/status >/root/caps
	daemon = sleep 1000
END
boot
is "$status" 0 "caps: boots"
# caps_of NAME FILE: the set as a number.
caps_of() {
	echo $((16#$(sed -n "s/^$1:[[:space:]]*//p" "$2")))
}
mask=$((1 << 22 | 1 << 16 | 1 << 27))
for set in CapBnd CapPrm CapEff; do
	is "$(caps_of $set "$root/root/caps")" "$(($(caps_of $set /proc/self/status) & ~mask))" "a boot command: $set lacks just these"
	inside grep ^Cap /proc/self/status >"$T/caps"
	is "$(caps_of $set "$T/caps")" "$(($(caps_of $set /proc/self/status) & ~mask))" "enter: $set lacks just these"
done
enter mknod /root/null c 1 3
unlike "$status" '^0$' "and they are really gone"
stop

# ---- [env]

write_conf <<-END
	[root]
	source = $root
	[env]
	pass = WSL_* LANG
	[boot]
	run = env >/root/env
	daemon = sleep 1000
END
# SHLVL, PWD and _ are the shell's own.
env -i HOME=/home/me PATH=/odd WSL_DISTRO=x WSL_=y XWSL_1=no LANG=de_DE.UTF-8 TERM=vt100 LC_ALL=C LD_PRELOAD= LIBMOUNT_FSTAB=/x SECRET=s \
	"$gcdboot" -q -c "$conf" boot -d
is "$?" 0 "env: boots"
is "$(sed '/^\(SHLVL\|PWD\|_\)=/d' "$root/root/env" | sort | tr '\n' ' ')" \
	"HOME=/root LANG=de_DE.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin WSL_=y WSL_DISTRO=x " \
	"it is PATH, HOME and what passes, and nothing else"
stop
write_conf <<-END
	[root]
	source = $root
	[env]
	pass =
	[boot]
	run = env >/root/env
END
boot
is "$(sed '/^\(SHLVL\|PWD\|_\)=/d' "$root/root/env" | sort | tr '\n' ' ')" "HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin " \
	"an empty pass lets nothing through"
stop

# ---- [boot]

# The root's own shell notes who it was.
rm "$root/bin/sh"
printf '#!/bin/busybox sh\necho "$1 $2" >>/root/order\nexec /bin/busybox sh "$@"\n' >"$root/bin/sh"
chmod +x "$root/bin/sh"
write_conf <<-END
	[root]
	source = $root
	[boot]
	run = echo one | cat && exit 7
	daemon = sleep 1000
	require = test -e /root/order
	run = sleep 0.2
	run = cat /root/order
END
boot
is "$status" 0 "[boot]: a run that fails does not stop the boot"
is "$(grep -v 'sleep 1000' "$root/root/order")" "-c echo one | cat && exit 7
-c test -e /root/order
-c sleep 0.2
-c cat /root/order" "the lines are run in their order, by the root's own /bin/sh -c"
ok "the daemon's line too" grep -qx -e '-c sleep 1000' "$root/root/order"
like "${err//$'\n'/ }" "echo one .* sleep 1000: started.* test -e .* sleep 0.2 .* cat /root/order" "in its place"
like "$err" "FAILED echo one \| cat && exit 7: exit status 7: one" "the failure is shown, with what the command said last"
like "$err" "degraded" "and that the OS is degraded"
run os status
is "$status" 4 "status: 4"
like "$out" "run +[0-9]+ +[0-9.]+ s +exit status 7 +echo one" "status names the line"
stop
rm "$root/bin/sh" && ln -s busybox "$root/bin/sh"

host_table "$T/table.before"
write_conf <<-END
	[root]
	source = $root
	path = $T/os
	[boot]
	daemon = trap '' TERM; while :; do sleep 1; done
	run = touch /root/ran
	require = echo complaint; exit 3
	run = touch /root/never
END
sed -i 's/^\ttimeout//' "$conf"
printf '[stop]\ntimeout = 1s\n' >>"$conf"
run os boot -d
is "$status" 1 "require: its failure stops the boot"
like "$err" "the boot command 'echo complaint; exit 3' failed: exit status 3: complaint; everything is undone" "by name"
ok "what came before it ran" test -e "$root/root/ran"
ok "what comes after it does not" test ! -e "$root/root/never"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "nothing is left mounted"
run os status
is "$status" 3 "nothing runs"
is "$(pgrep -f 'while :; do sleep 1')" "" "not even the daemon that ignores TERM"
ok "the log of it is kept" grep -q complaint "$log"
ok "and says that it failed" grep -q "failed: the boot command" "$log"

write_conf <<-END
	[root]
	source = $root
	[boot]
	timeout = 1s
	run = sleep 600
	run = trap '' TERM; sleep 600 & wait; sleep 600
	run = echo after
	daemon = sleep 1000
END
boot
is "$status" 0 "timeout: boots"
like "$err" "FAILED sleep 600: took longer than 1 s" "what takes too long is ended"
like "$err" "FAILED trap .*took longer than 1 s" "also where it ignores TERM"
like "$err" "ok echo after" "and the next one runs"
is "$(pgrep -f '^sleep 600')" "" "nothing of them is left"
ok "a daemon has no time limit" pgrep -f '^sleep 1000'
run os status
is "$status" 4 "the OS is degraded"
stop

# The defaults, each where its file is.
write_conf <<-END
	[root]
	source = $root
END
boot
is "$status" 0 "without [boot]: boots"
like "${err//$'\n'/ }" "swapon -a.* mount -a -t ext4.* /etc/init.d/svscanboot: started.* /etc/rc.d/rc.M" "the four lines"
stop
rm "$root/etc/fstab"
chmod -x "$root/etc/rc.d/rc.M"
mv "$root/etc/rc.d/rc.M" "$T/rc.M"
boot
is "$status" 0 "without fstab and rc.M: boots"
unlike "$err" "swapon|mount -a|rc.M" "without the lines that need them"
like "$err" "svscanboot: started" "and with the rest"
run os status
is "$status" 0 "which is not degraded"
stop
cp "$T/rc.M" "$root/etc/rc.d/rc.M"
host_table "$T/table.before"
run os boot -d
is "$status" 2 "a script that is not executable stops the boot"
like "$err" "/etc/rc.d/rc.M in the root: is not executable" "by name"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "with nothing mounted"
rm "$root/etc/rc.d/rc.M"
printf '[root]\nsource = %s\n\n[boot]\nrun = /etc/rc.d/nosuch start\n' "$root" | tee "$conf" >/dev/null
run os boot -d
is "$status" 2 "a script that is not there"
like "$err" "^gcdboot: .*${conf##*/}:5: /etc/rc.d/nosuch in the root: No such file" "is named with file and line"
rm -rf "$T/empty" && mkdir "$T/empty"
printf '[root]\nsource = %s\n[boot]\nrun = true\n' "$T/empty" >"$conf"
run os boot -d
is "$status" 1 "a root without /bin/sh"
like "$err" "no /bin/sh" "is refused"
is "$(find /run/gcdboot ! -name boot.log ! -type d 2>/dev/null)" "" "no lock is left by any of these"
is "$(ls -A "$T/empty")" "" "nor a mount point in that root"

# ---- [host NAME]

# as_host NAME COMMAND...: on a machine of that name.
as_host() {
	unshare -u bash -c 'hostname "$1"; shift; exec "$@"' - "$@"
}
write_conf <<-END
	[host kayano]
	root.source = $root
	boot.run = echo kayano
	[root]
	source = LABEL=gcdconf-none
	wait = 0
	[host senri]
	stop.timeout = 9s
END
run as_host kayano "$gcdboot" -c "$conf" boot -d
is "$status" 0 "[host NAME] counts on the host of that name, wherever it stands"
like "$err" "ok echo kayano" "with all its keys"
unlike "$err" "swapon" "commands take the place of the defaults"
run as_host kayano "$gcdboot" -c "$conf" stop
is "$status" 0 "it stops"
run as_host KAYANO.example.org "$gcdboot" -c "$conf" plan
is "$status" 0 "up to the first dot, whatever the case"
like "$out" "$root" "it is that host"
run as_host other "$gcdboot" -c "$conf" boot -d
is "$status" 1 "on another host the plain sections count"
like "$err" "LABEL=gcdconf-none" "alone"

# ---- mistakes: file and line, exit status 2, and nothing is mounted

rm -rf /run/gcdboot
host_table "$T/table.before"
# mistaken REGEX TEXT
mistaken() {
	printf '%b' "$2" | sed "s|@|$root|" >"$conf"
	chmod 600 "$conf"
	run os boot -d
	is "$status" 2 "a mistake: ${2//$'\n'/ }"
	like "$err" "^gcdboot: $conf$1" "is shown by file and line"
}
mistaken ":2: unknown key 'sauce' in \[root\], did you mean 'source'\?" '[root]\nsauce = @\n'
mistaken ":1: unknown section .*did you mean" '[rot]\nsource = @\n'
mistaken ":1: .*outside" 'source = @\n'
mistaken ":3: duplicate key 'source'|:3: duplicate 'source', first at line 2" '[root]\nsource = @\nsource = @\n'
mistaken ":2: .*absolute" '[root]\npath = usr/local\n'
mistaken ":2: .*'\.\.'" '[root]\npath = /usr/../local\n'
mistaken ":2: .*wait: expected .*not 'soon'" '[root]\nwait = soon\n'
mistaken ":4: .*timeout: expected .*not '0'" '[root]\nsource = @\n[bind]\ntimeout = 0\n'
mistaken ":3: .*sys_bot" '[root]\n[caps]\ndrop = sys_bot\n'
mistaken ":2: .*needs a value" '[root]\nsource =\n'
mistaken ":2: .*too long" "[root]\nsource = /$(printf 'x%.0s' {1..300})\n"
mistaken ":4: " '[root]\nsource = @\n[host elsewhere]\nroot.sauce = x\n'
mistaken ": NUL byte|:[0-9]+: NUL byte" '[root]\nsource = @\0\n'
printf '[root]\nsource = %s\n' "$root" >"$conf"
chmod 664 "$conf"
run os boot -d
like "$status:$err" "^2:gcdboot: $conf: .*writable by group or other" "a file that others may write"
chmod 600 "$conf"
chown 65534 "$conf"
run os boot -d
like "$status:$err" "^2:gcdboot: $conf: .*not owned by root" "a file that is somebody else's"
chown 0 "$conf"
chmod 777 "$T/conf"
run os boot -d
like "$status:$err" "^2:gcdboot: .*$T/conf is writable by others" "a directory that others may write"
chmod 755 "$T/conf"
rm "$conf" && mkfifo "$conf"
run os boot -d
like "$status:$err" "^2:gcdboot: $conf: .*not a regular file" "a fifo"
rm "$conf"
run os boot -d
like "$status:$err" "^2:gcdboot: $conf: cannot open: No such file" "no file"
host_table "$T/table.after"
same "$T/table.before" "$T/table.after" "nothing was mounted by any of them"
ok "nor a lock taken" test ! -e /run/gcdboot

# ---- the file that comes with it

cp "$repo/conf/default.conf" "$conf"
chmod 600 "$conf"
run os plan
is "$status" 0 "the sample file is a valid one"
like "$out" "LABEL=/" "and means what an empty one means"
cp "$T/.out" "$T/plan.sample"
: >"$conf"
run os plan
same "$T/.out" "$T/plan.sample" "to the letter"
for sample in "$repo"/conf/*.conf; do
	cp "$sample" "$conf"
	run os plan
	is "$status" 0 "${sample##*/} is a valid one"
done

done_testing
