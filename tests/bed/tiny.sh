#!/bin/bash
# tiny.sh ROOT_TARBALL TREE: makes the small root of the quick tests: busybox (static, from Debian) with all its commands, daemontools with the libraries
# it needs, and the same boot scripts and services as the big one. Small enough for an 8 MB filesystem.
set -euo pipefail

tarball=$(realpath "$1")
tree=$2
tools=(svscan supervise svc svok svstat multilog readproctitle)

# unpack PATH...: from the tarball into the tree. What is a link in the tarball stays one.
unpack() {
	tar -C "$work" --numeric-owner -xf "$tarball" "${@/#/./}"
}

# The libraries of a program of the tree, as paths in the tree: asked of the loader that lies in the tree too.
libraries() {
	local full=$1 program=$2

	chroot "$full" /usr/bin/ldd "$program" | grep -o '/[^ ]*'
}

mkdir -p "$(dirname "$tree")"
work=$(mktemp -d "$tree.XXXXXX")
full=$(mktemp -d "$tree.full.XXXXXX")
trap 'rm -rf --one-file-system "$work" "$full"' EXIT
trap 'exit 130' INT TERM

tar -C "$full" --numeric-owner -xf "$tarball" ./usr/bin ./usr/lib ./usr/lib64 ./bin ./lib ./lib64 2>/dev/null ||
	tar -C "$full" --numeric-owner -xf "$tarball" ./usr/bin ./usr/lib ./bin ./lib

mkdir -p "$work"/{bin,sbin,usr/bin,usr/sbin,lib,proc,sys,dev,run,tmp,mnt,data,root,boot/lib/modules,var/log/clock,etc}
chmod 1777 "$work/tmp"
ln -s ../run "$work/var/run"
unpack etc/init.d/svscanboot etc/rc.d/rc.M etc/fstab etc/hostname etc/os-release service

cp "$full/bin/busybox" "$work/bin/busybox"
for applet in $("$work/bin/busybox" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$work/bin/$applet"
done

for tool in "${tools[@]}"; do
	cp "$full/usr/bin/$tool" "$work/usr/bin/$tool"
	libraries "$full" "/usr/bin/$tool"
done | sort -u >"$work/libraries"
while read -r library; do
	mkdir -p "$work$(dirname "$library")"
	cp -L "$full$library" "$work$library"
done <"$work/libraries"
rm "$work/libraries"

printf 'root:x:0:0:root:/root:/bin/sh\n' >"$work/etc/passwd"
printf 'root:x:0:\nfloppy11:x:11:root\nusers14:x:14:root\n' >"$work/etc/group"
sed -i 's/^PRETTY_NAME=.*/PRETTY_NAME="GCD OS (tiny, for tests)"/' "$work/etc/os-release"
ln -s /boot/lib/modules "$work/lib/modules"
chown -R 0:0 "$work"
chmod 755 "$work"

rm -rf --one-file-system "$tree"
mv "$work" "$tree"
