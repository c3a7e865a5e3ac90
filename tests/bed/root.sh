#!/bin/bash
# root.sh TARBALL [SUITE PACKAGE,... TREE...]: makes the GCD OS of the demo and the tests: a minimal Debian with daemontools, and gcdos/ laid over it, as
# one tarball; for the machine tests, of another release, with more packages, and with more laid over it. It is made again only when its recipe has
# changed. Needs root; the packages come from the apt sources of this machine.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tarball=$(realpath -m "${1:?usage: root.sh TARBALL [SUITE PACKAGE,... TREE...]}")
suite=${2:-}
packages=daemontools,busybox-static${3:+,$3}
over=("$here/gcdos" "${@:4}")
work=

# shellcheck source=tests/bed/debian.sh
. "$here/debian.sh"

die() {
	echo "tests/bed/root.sh: $*" >&2
	exit 1
}

# The marks of the GCD OS: its own boot scripts, services, os-release, and root in two groups that the host does not know.
overlay() {
	local tree=$1 part

	rm -f "$tree/etc/os-release" "$tree/etc/resolv.conf"
	for part in "${over[@]}"; do
		tar -C "$part" --owner=0 --group=0 -cf - . | tar -C "$tree" --no-overwrite-dir -xf -
	done
	printf 'floppy11:x:11:root\nusers14:x:14:root\n' >>"$tree/etc/group"
	mkdir -p "$tree"/{data,boot/lib/modules,var/log/clock}
	[ -e "$tree/lib/modules" ] || ln -s /boot/lib/modules "$tree/lib/modules"
	: >"$tree/etc/resolv.conf"
}

recipe=$(recipe_of "$here/root.sh" "$here/debian.sh" "$suite" "$packages" "${over[@]}")
recipe_is "$tarball" "$recipe" && exit 0
[ "$(id -u)" = 0 ] || die "needs root"

mkdir -p "$(dirname "$tarball")"
work=$(mktemp -d "$(dirname "$tarball")/root.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

echo "making a minimal Debian${suite:+ ($suite)} with daemontools (once; kept in $tarball)"
debian_make "$work/tree" "$suite" "$packages"
overlay "$work/tree"
tar -C "$work/tree" --numeric-owner --xattrs -cf "$work/root.tar" .
mv "$work/root.tar" "$tarball"
recipe_note "$tarball" "$recipe"
