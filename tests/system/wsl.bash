# shellcheck shell=bash
# wsl.bash: a host of WSL's shape around the test, with tests/bed/windows.c for Windows: see there how that differs. Sourced after lib.sh and os.bash.
# What else differs from WSL: the drive is a tmpfs, which gcdboot_wsl takes for 9p (tests/system/driver/wsl_table.c), the .exe files begin with "#!" instead of
# an MZ header and a binfmt_misc entry, which would be the whole machine's, and the disks are loop devices.

gcdboot=$BUILD/tests/system/gcdboot_wsl
windows=/run/windows/init
system32=/mnt/c/Windows/System32

# wsl_exe PATH: a program of Windows.
wsl_exe() {
	mkdir -p "$(dirname "$1")"
	printf '#!%s\n' "$windows" >"$1"
	chmod 755 "$1"
}

# wsl_host: the drive C:, its programs, and /run/WSL with a socket that lives (1_interop) and one that is dead.
wsl_host() {
	mount -t tmpfs -o size=1m,mode=755 none /mnt
	mkdir /mnt/c
	mount -t tmpfs -o 'size=1m,mode=777' 'C:\' /mnt/c
	mkdir -p /run/windows /run/WSL /mnt/c/Users/me /mnt/c/bin
	cp "$BUILD/tests/bed/windows" "$windows"
	wsl_exe $system32/wsl.exe
	wsl_exe $system32/whoami.exe
	wsl_exe $system32/cmd.exe
	wsl_exe $system32/WindowsPowerShell/v1.0/powershell.exe
	mkfifo /run/windows/ask /run/windows/reply
	"$windows" dead /run/WSL/33_interop
	wsl_serve 1_interop
	unset WSL_INTEROP WSLENV
}

# wsl_tree: os_tree, with a program that runs one of Windows, as after a login, with nothing in the environment.
wsl_tree() {
	os_tree
	printf '#!/bin/sh\ncd /mnt/c && exec env -i %s/cmd.exe /c ver\n' "$system32" >"$T/tree/sbin/winver"
	chmod 755 "$T/tree/sbin/winver"
}

# wsl_serve NAME: an interop socket that lives; its process in $served. wsl_unserve PID: it dies, its file stays.
wsl_serve() {
	"$windows" serve "/run/WSL/$1" &
	served=$!
	wait_for 10 test -S "/run/WSL/$1"
}

wsl_unserve() {
	kill "$1"
	wait "$1" 2>/dev/null
}

# wsl_conf LINE...: what Windows is like, from now on; nothing is attached, nothing has been asked.
wsl_conf() {
	rm -f /run/windows/count.*
	# They are there from the beginning: what is in /run is compared.
	: | tee /run/windows/{log,attached,plug.lock,count.attach,count.detach} >/dev/null
	printf '%s\n' 'drive /mnt/c' 'plug /run/windows/ask /run/windows/reply' 'disk 0 bsC S0-SYSTEM Samsung SSD 980' 'disk 1 - __WD-1234.__ WDC WD80EFZX' \
		"$@" >/run/windows/conf
}

# wsl_disk IMAGE: who plugs and pulls it when Windows asks. Its device is then in $T/plugged.
wsl_disk() {
	wsl_image=$1
	wsl_plugger >/dev/null 2>&1 &
}

wsl_plugger() {
	local verb number later

	while :; do
		# shellcheck disable=SC2034
		read -r verb number later </run/windows/ask || continue
		if [ "$verb" = attach ] && [ "$later" = 0 ]; then
			wsl_plug
		elif [ "$verb" = attach ]; then
			{
				sleep "$(printf '%d.%03d' $((later / 1000)) $((later % 1000)))"
				wsl_plug
			} &
		else
			wsl_pull
		fi
		echo ok >/run/windows/reply
	done
}

wsl_plug() {
	attach "$wsl_image"
	echo "$loop" >"$T/plugged"
}

wsl_pull() {
	detach "$(cat "$T/plugged")"
	rm "$T/plugged"
}

# wsl_calls [PROGRAM]: how many times a program of Windows was run.
wsl_calls() {
	grep -c "^${1:-}" /run/windows/log 2>/dev/null
}

# wsl_no_disk: it is back with Windows, however the last test ended.
wsl_no_disk() {
	[ ! -e "$T/plugged" ] || wsl_pull
	: >/run/windows/attached
}
